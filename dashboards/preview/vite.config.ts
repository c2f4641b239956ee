import { cpSync } from 'node:fs';
import { join, resolve } from 'node:path';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Serves Grafana's icons where its components expect them. */
function icons(): Plugin {
  let folder: string;
  return {
    name: 'icons',
    configResolved: ({ root, build }) => {
      folder = resolve(root, build.outDir);
    },
    closeBundle: () =>
      cpSync('node_modules/@grafana/ui/dist/public/img', join(folder, 'build/img'), {
        recursive: true,
      }),
  };
}

export default defineConfig({
  plugins: [react(), icons()],
  // globals that Grafana's libraries expect
  define: { 'process.env.NODE_ENV': '"production"', 'process.env': {}, global: 'globalThis' },
  build: { chunkSizeWarningLimit: 20_000 },
});
