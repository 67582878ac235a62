// Reads an MP4 file with GPAC's MP4Box in JavaScript, to its last sample. Prints what that finds fault with, and how many bytes of media
// it found, as a line of JSON. usage: node web/e2e/boxes.mjs FILE

import { readFile } from 'node:fs/promises';
import { createFile, Log, MP4BoxBuffer } from 'mp4box';

const said = [];
for (const level of ['warn', 'error']) console[level] = (...words) => said.push(words.slice(1).join(' '));
Log.setLogLevel(Log.warn);

const bytes = await readFile(process.argv[2]);
const file = createFile(true); // with the media
let media = 0;
file.onError = (module, message) => said.push(`${module}: ${message}`);
file.onReady = ({ tracks }) => {
  for (const { id } of tracks) file.setExtractionOptions(id, undefined, { nbSamples: 1000 });
  file.start();
};
file.onSamples = (_id, _user, samples) => {
  for (const { data } of samples) media += data.byteLength;
};
file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength), 0), true);
file.flush();
console.log(JSON.stringify({ said, media }));
