// Texts of the System view alone, which is loaded when somebody opens it.

import { language } from '../i18n';

const en = {
  apiDocs: 'API reference',
};

const zh: typeof en = {
  apiDocs: 'API 参考',
};

/** The text of a key, in the language that is spoken. */
export const ts = (key: keyof typeof en): string => (language === 'zh' ? zh : en)[key];
