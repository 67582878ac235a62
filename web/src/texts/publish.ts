// Texts of the Publish view alone, and of what goes wrong there.

import { add } from '../i18n';

const en = {
  source: 'Picture',
  'source.camera': 'Camera',
  'source.screen': 'Screen',
  'source.none': 'None (sound only)',
  resolution: 'Resolution',
  microphone: 'Microphone',
  simulcast: 'Simulcast: three sizes of the picture',
  codec: 'Video codec',
  codecMissing: '(not in this browser)',
  streamId: 'Stream id',
  start: 'Start publishing',
  stop: 'Stop publishing',
  preview: 'Own picture',
  limitedCpu: 'limited by this machine’s processor',
  limitedBandwidth: 'limited by the network',
  needSource: 'Choose a picture or switch the microphone on: there is nothing to publish.',
  needStream: 'Give the stream an id first.',
  badStream: 'A stream id has no slash, backslash or invisible character and does not start with a dot.',
  denied: 'The browser refused access to the camera or microphone. Allow it in the address bar and try again.',
  noDevice: 'No such device was found. Connect a camera or microphone, or choose another picture.',
  busyDevice: 'The device is in use by another program. Close that program and try again.',
  insecure: 'The browser gives camera and microphone to secure pages only. Open this page over https or on localhost.',
  noMedia:
    'No way for media: UDP {addresses} of the server was not reached. Firewalls, webrtc.listen and webrtc.public_ips of the server decide that; its log says more.',
  noMediaLoopback:
    'No way for media: the browser and the server have no address but loopback, which Firefox does not use. Give the machine another address, or set media.peerconnection.ice.loopback to true in about:config.',
  sourceEnded: 'The picture or sound ended at its source.',
  'device.camera': 'Camera',
  'device.mic': 'Microphone device',
  'device.any': 'As the browser chooses',
  publishRecorded: 'This stream is being recorded.',
  publishNotRecorded: 'This stream is not being recorded.',
};

const zh: typeof en = {
  source: '画面',
  'source.camera': '摄像头',
  'source.screen': '屏幕',
  'source.none': '无（仅声音）',
  resolution: '分辨率',
  microphone: '麦克风',
  simulcast: '联播（Simulcast）：三种画面尺寸',
  codec: '视频编码',
  codecMissing: '（浏览器不支持）',
  streamId: '流 ID',
  start: '开始推流',
  stop: '停止推流',
  preview: '本地画面',
  limitedCpu: '受本机处理器限制',
  limitedBandwidth: '受网络带宽限制',
  needSource: '请选择画面或打开麦克风，否则没有可推送的内容。',
  needStream: '请先填写流 ID。',
  badStream: '流 ID 不能包含斜杠、反斜杠或不可见字符，也不能以点开头。',
  denied: '浏览器拒绝了摄像头或麦克风的访问。请在地址栏中允许后重试。',
  noDevice: '未找到设备。请连接摄像头或麦克风，或选择其他画面。',
  busyDevice: '设备正被其他程序占用。请关闭该程序后重试。',
  insecure: '浏览器只允许安全页面使用摄像头和麦克风。请通过 https 或 localhost 打开本页。',
  noMedia:
    '媒体无法连接：未能到达服务器的 UDP {addresses}。这取决于防火墙以及服务器的 webrtc.listen 和 webrtc.public_ips，详见服务器日志。',
  noMediaLoopback:
    '媒体无法连接：浏览器和服务器除回环地址外没有其他地址，而 Firefox 不使用回环地址。请为本机配置其他地址，或在 about:config 中把 media.peerconnection.ice.loopback 设为 true。',
  sourceEnded: '画面或声音在来源处结束了。',
  'device.camera': '摄像头',
  'device.mic': '麦克风设备',
  'device.any': '由浏览器选择',
  publishRecorded: '该流正在录制。',
  publishNotRecorded: '该流未在录制。',
};

add({ en, zh });

/** The keys of these texts. */
export type PublishKey = keyof typeof en;
