import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // what Grafana's libraries expect of the page around them
  define: { 'process.env.NODE_ENV': '"production"', 'process.env': {}, global: 'globalThis' },
  build: { chunkSizeWarningLimit: 20_000 },
});
