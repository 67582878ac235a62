// Makes the pages of the site from the repository's documents.
//
// The README is the guide: each of its sections is a page. So every command stands once, where tests run it. All other
// documents are pages as they are. Links between them follow.
//
// usage: node docs/site/pages.mjs OUTPUT

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The README's sections, in their order, as pages. */
export const sections = ['install', 'record', 'files', 'play', 'keep', 'storage', 'configure', 'api', 'cluster', 'build', 'limits', 'develop'];

/** The languages of the guide: their READMEs, and where their pages are. */
export const languages = [
  { readme: 'README.md', below: '' },
  { readme: 'README.zh-CN.md', below: 'zh/' },
];

/** What is beside the README and docs/. */
const others = ['ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'];

const link = /(?<!!)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g;

/** Text in pieces: every second one is a fenced block. */
const pieces = (text) => text.split(/(^```[^\n]*\n[\s\S]*?^```$)/m);

const isCode = (piece) => piece.startsWith('```');

/** Names of languages that the highlighter does not know. */
const plain = /^```(m3u8|hex)$/m;

/** Changes what is in no fenced block. */
const outsideCode = (text, change) => pieces(text).map((piece) => (isCode(piece) ? piece.replace(plain, '```text') : change(piece))).join('');

/** The anchor that a heading gets: GitHub's, which VitePress is told to give too. */
export const slug = (heading) =>
  heading.trim().replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-');

const headings = (text) => pieces(text).flatMap((piece) => (isCode(piece) ? [] : [...piece.matchAll(/^#+ (.*)$/gm)].map((m) => m[1])));

/** A README's beginning and its sections. */
function split(readme) {
  const parts = [''];
  for (const piece of pieces(readme)) {
    const [first, ...more] = isCode(piece) ? [piece] : piece.split(/^(?=## )/m);
    parts[parts.length - 1] += first;
    parts.push(...more);
  }
  if (parts.length !== sections.length + 1) {
    throw new Error(`the README has ${parts.length - 1} sections, and ${sections.length} pages are named`);
  }
  return parts;
}

const read = (file) => readFileSync(path.join(root, file), 'utf8');

/** The pages by their paths: the document that each is from, and its text. */
function collect() {
  const pages = new Map();
  for (const { readme, below } of languages) {
    const [beginning, ...parts] = split(read(readme));
    pages.set(`${below}index.md`, { source: readme, text: beginning });
    parts.forEach((part, i) => {
      const text = outsideCode(part, (piece) => piece.replace(/^#(#+ )/gm, '$1')); // one level up
      pages.set(`${below}guide/${sections[i]}.md`, { source: readme, text });
    });
  }
  const below = (folder) =>
    readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const file = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return ['site', 'openapi'].includes(entry.name) ? [] : below(file);
      return file.endsWith('.md') ? [file] : [];
    });
  for (const file of [...others, ...below('docs')]) pages.set(file, { source: file, text: read(file) });
  return pages;
}

/** Finds where links lead. */
class Targets {
  #pages;
  #anchors = new Map(); // of a README, "README.md#anchor": the page, and the anchor there

  constructor(pages) {
    this.#pages = pages;
    for (const [page, { source, text }] of pages) {
      if (!languages.some(({ readme }) => readme === source)) continue;
      headings(text).forEach((heading, i) => {
        const key = `${source}#${slug(heading)}`;
        if (!this.#anchors.has(key)) this.#anchors.set(key, { page, anchor: i === 0 ? '' : slug(heading) });
      });
    }
  }

  /** The page that a link of a document leads to; or the file or folder of the repository, if that is no page. */
  of(source, link) {
    const [to, anchor = ''] = link.split('#');
    const file = to ? path.posix.normalize(path.posix.join(path.posix.dirname(source), to)) : source;
    const language = languages.find(({ readme }) => readme === file);
    if (!language) return { page: this.#pages.has(file) ? file : '', file, anchor };
    if (!anchor) return { page: `${language.below}index.md`, file, anchor };
    const found = this.#anchors.get(`${file}#${anchor}`);
    if (!found) throw new Error(`${source} links to ${link}, which is no heading`);
    return { ...found, file };
  }
}

/** Writes a page with its links as the site has them. */
function render(page, { source, text }, targets, files) {
  const relative = (to) => path.posix.relative(path.posix.dirname(page), to);
  const relink = (whole, label, to) => {
    if (/^[a-z]+:/.test(to)) return whole;
    const { page: target, file, anchor } = targets.of(source, to);
    const hash = anchor && `#${anchor}`;
    if (target === page) return hash ? `[${label}](${hash})` : label;
    if (target) return `[${label}](./${relative(target)}${hash})`;
    if (!existsSync(path.join(root, file))) throw new Error(`${source} links to ${to}, which is not there`);
    if (statSync(path.join(root, file)).isDirectory()) return label; // it has no page
    files.add(file);
    return `<a href="${relative(file)}" target="_self">${label}</a>`;
  };
  const escape = (piece) => piece.replace(/\{\{/g, '&#123;&#123;');
  return outsideCode(text, (piece) =>
    piece.split(/(`[^`\n]*`)/).map((part) => (part.startsWith('`') ? part : escape(part))).join('').replace(link, relink));
}

function main(output) {
  rmSync(output, { recursive: true, force: true });
  const pages = collect();
  const targets = new Targets(pages);
  const files = new Set();
  for (const [page, from] of pages) {
    const file = path.join(output, page);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, render(page, from, targets, files));
  }
  for (const file of files) cpSync(path.join(root, file), path.join(output, 'public', file), { recursive: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv[2]);
