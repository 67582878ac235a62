// Texts of who is told of events, which the System view has.

import { add } from '../i18n';

const en = {
  receivers: 'Who is told of events',
  receiverWorks: 'takes events',
  receiverFailing: 'takes none',
  receiverHeld: '{n} held up',
  receiverWaiting: '{n} wait, the first since {time}',
  receiverLast: 'last told {time}',
  receiverNever: 'nothing told since the start',
  receiverNext: 'next try {time}',
  receiverCounts: '{delivered} told, {failed} attempts failed',
  receiverLost: '{n} given up',
  deliveriesOf: 'Attempts to tell',
  deliveriesAll: 'All receivers',
  deliveriesNone: 'No attempt yet.',
  'outcome.delivered': 'told',
  'outcome.failed': 'failed',
  'outcome.expired': 'given up',
  deliveryAttempt: 'attempt {n}',
};

const zh: typeof en = {
  receivers: '事件的接收方',
  receiverWorks: '正常接收',
  receiverFailing: '拒收全部事件',
  receiverHeld: '{n} 个流被阻塞',
  receiverWaiting: '{n} 个事件等待发送，最早的来自 {time}',
  receiverLast: '上次送达 {time}',
  receiverNever: '启动以来尚未送达',
  receiverNext: '下次重试 {time}',
  receiverCounts: '已送达 {delivered} 个，失败 {failed} 次',
  receiverLost: '已放弃 {n} 个',
  deliveriesOf: '投递记录',
  deliveriesAll: '全部接收方',
  deliveriesNone: '尚无投递记录。',
  'outcome.delivered': '已送达',
  'outcome.failed': '失败',
  'outcome.expired': '已放弃',
  deliveryAttempt: '第 {n} 次尝试',
};

add({ en, zh });

/** The keys of these texts. */
export type ReceiversKey = keyof typeof en;
