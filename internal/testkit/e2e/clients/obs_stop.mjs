// Stops the outputs of an OBS Studio by its WebSocket, as its buttons do. The protocol is obs-websocket's, version 5.
//
// usage: node --experimental-websocket obs_stop.mjs PORT

const socket = new WebSocket(`ws://127.0.0.1:${process.argv[2]}`);
const send = (op, d) => socket.send(JSON.stringify({ op, d }));
let left = 2;
socket.onerror = ({ message }) => {
  process.stderr.write(`no connection to OBS: ${message ?? 'refused'}\n`);
  process.exit(1);
};
socket.onmessage = ({ data }) => {
  const { op } = JSON.parse(data);
  if (op === 0) send(1, { rpcVersion: 1, eventSubscriptions: 0 });
  if (op === 2) for (const requestType of ['StopStream', 'StopRecord']) send(6, { requestType, requestId: requestType });
  if (op === 7 && --left === 0) process.exit(0);
};
setTimeout(() => process.exit(1), 10_000);
