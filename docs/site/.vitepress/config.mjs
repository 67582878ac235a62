// The documentation as a site. `make site` makes it from the repository's documents (pages.mjs).

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';
import { sections, slug } from '../pages.mjs';

const source = fileURLToPath(new URL('../src', import.meta.url)); // what pages.mjs has made
const built = fileURLToPath(new URL('../../../.cache/site', import.meta.url));

/** The first heading of a page. */
const title = (page) => /^# (.*)$/m.exec(readFileSync(`${source}/${page}.md`, 'utf8'))?.[1].replaceAll('`', '') ?? page;
const item = (page) => ({ text: title(page), link: `/${page}` });
const group = (text, pages, collapsed = false) => ({ text, collapsed, items: pages.map(item) });

/** What the guide has for its users; the rest of the README's sections are for developers. */
const inside = ['build', 'develop'];
const guide = (below) => sections.filter((name) => ![...inside, 'api'].includes(name)).map((name) => `${below}guide/${name}`);
const named = (folder, names) => names.split(' ').map((name) => `${folder}/${name}`);

const reference = ['docs/configuration', 'docs/configuration-liveman', 'guide/api', 'docs/api', 'docs/api-liveman'];
const measured = ['docs/players', 'docs/interop', 'docs/benchmarks', 'docs/design/scale'];
/** All other documents of docs/ are for users. */
const more = readdirSync(`${source}/docs`).filter((file) => file.endsWith('.md') && !file.endsWith('.zh.md')).map((file) => `docs/${file.slice(0, -3)}`)
  .filter((page) => ![...reference, ...measured].includes(page));

const english = [
  group('Guide', [...guide(''), ...more]),
  group('Reference', [...reference, ...named('docs/formats', 'recording-json manifest sample-index spool journal')]),
  group('Measured', measured, true),
  group('Inside', ['ARCHITECTURE', ...named('docs/design', 'time loss simulcast codecs ingest storage recovery catalogue manager access limits packages dependencies testing changing'),
    ...inside.map((name) => `guide/${name}`), 'CONTRIBUTING', 'SECURITY', 'CHANGELOG'], true),
];

/**
 * Has the highlighter finish each line. By itself it breaks off one that takes half a second, as the first of a language does
 * on a busy machine, and colours the rest by chance: no two builds were sure to be the same bytes.
 */
function patient(highlighter) {
  const colour = highlighter.codeToHtml;
  highlighter.codeToHtml = (code, options) => colour(code, { ...options, tokenizeTimeLimit: 0 });
}

export default defineConfig({
  title: 'Live777 Recorder',
  description: 'A WebRTC live node that records what it carries, and a manager of many',
  base: process.env.SITE_BASE ?? '/',
  srcDir: source,
  outDir: `${built}/html`,
  cacheDir: `${built}/cache`,
  metaChunk: true,
  buildConcurrency: 1, // the search numbers the pages as they are done
  markdown: { anchor: { slugify: slug }, shikiSetup: patient, languages: ['html', 'json', 'jsonl', 'python', 'sh', 'toml', 'xml'] },
  themeConfig: {
    search: { provider: 'local' },
    outline: 'deep',
  },
  locales: {
    root: { label: 'English', lang: 'en', themeConfig: { sidebar: english, nav: [{ text: 'Guide', link: '/guide/install' }, { text: 'API', link: '/docs/api' }, { text: 'Changes', link: '/CHANGELOG' }] } },
    zh: {
      label: '中文',
      lang: 'zh-CN',
      description: '录制所承载的流的 WebRTC 直播节点，以及管理多个节点的管理器',
      themeConfig: {
        sidebar: { '/zh/': [group('指南', [...sections.map((name) => `zh/guide/${name}`), 'docs/install.zh', 'docs/secure.zh', 'docs/operate.zh', 'docs/migrating.zh'])] },
        nav: [{ text: '指南', link: '/zh/guide/install' }, { text: 'API', link: '/docs/api' }],
        outline: { level: 'deep', label: '本页内容' },
        docFooter: { prev: '上一页', next: '下一页' },
        darkModeSwitchLabel: '主题', sidebarMenuLabel: '菜单', returnToTopLabel: '回到顶部', langMenuLabel: '语言',
      },
    },
  },
});
