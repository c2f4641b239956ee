import { cpSync } from 'node:fs';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Puts Grafana's icons where its components look for them. */
const icons: Plugin = {
  name: 'icons',
  closeBundle: () => cpSync('node_modules/@grafana/ui/dist/public/img', 'dist/build/img', { recursive: true }),
};

export default defineConfig({
  plugins: [react(), icons],
  // what Grafana's libraries expect of the page around them
  define: { 'process.env.NODE_ENV': '"production"', 'process.env': {}, global: 'globalThis' },
  build: { chunkSizeWarningLimit: 20_000 },
});
