import { defineConfig } from 'vitest/config';

// The bundle is embedded in the server by package web. public/.gitkeep is
// copied along, so that a build leaves the committed placeholder in place.
export default defineConfig({
  base: './',
  build: {
    outDir: '../internal/serve/web/dist',
    emptyOutDir: true,
    target: 'es2022',
    // The player is one lazily loaded chunk of about half a megabyte.
    chunkSizeWarningLimit: 600,
    // Small assets stay files: the content security policy allows no data: scripts or styles.
    assetsInlineLimit: 0,
    // What all views have is one file: every request counts where the server is far away.
    modulePreload: { polyfill: false },
    // The reference of the API is a page of its own: no other loads its library.
    rolldownOptions: { input: ['index.html', 'api/docs.html'], output: { codeSplitting: { groups: [{ name: 'page', test: /node_modules.preact|src.main|src.lib.colours/ }] } } },
  },
  server: {
    // `npm run dev` against a node that runs with its default address.
    proxy: Object.fromEntries(
      ['/api', '/whip', '/whep', '/session'].map((path) => [path, 'http://127.0.0.1:7777']),
    ),
  },
  test: { include: ['test/**/*.test.ts'], environment: 'node', setupFiles: 'test/setup.ts' },
});
