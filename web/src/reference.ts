// The reference of the server's HTTP API at /api/docs, drawn from its own OpenAPI document.

import library from 'swagger-ui-dist/swagger-ui-bundle.js?url';
import look from 'swagger-ui-dist/swagger-ui.css?url';
import './reference.css';

declare const SwaggerUIBundle: (options: Record<string, unknown>) => unknown;

const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);

/** Loads a file of the library: its styles stand before those that change what they say. */
function load(element: HTMLElement): Promise<void> {
  return new Promise((resolve, reject) => {
    element.addEventListener('load', () => resolve());
    element.addEventListener('error', () => reject(new Error('a part of this page could not be loaded')));
    document.head.prepend(element);
  });
}

async function readDocument(): Promise<Record<string, unknown>> {
  const response = await fetch('openapi.json');
  if (!response.ok) throw new Error(`openapi.json: HTTP ${response.status}`);
  return (await response.json()) as Record<string, unknown>;
}

async function show(): Promise<void> {
  const [spec] = await Promise.all([
    readDocument(),
    load(Object.assign(document.createElement('script'), { src: library })),
    load(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: look })),
  ]);
  SwaggerUIBundle({
    dom_id: '#reference',
    // The server may be below a path that only a proxy knows: requests go where this page came from.
    spec: { ...spec, servers: [{ url: new URL('..', document.baseURI).href.replace(/\/$/, '') }] },
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    validatorUrl: null, // no other host is asked
  });
}

paint();
dark.addEventListener('change', paint);
void show().catch((e: unknown) => {
  const note = Object.assign(document.createElement('p'), { textContent: String(e) });
  note.setAttribute('role', 'alert');
  document.getElementById('reference')?.replaceChildren(note);
});
