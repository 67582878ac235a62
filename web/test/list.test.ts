import { expect, test } from 'vitest';
import type { FleetStream } from '../src/lib/api';
import { StreamList } from '../src/lib/list';

const stream = (id: string, recording = false) => ({ id, recording }) as FleetStream;
const ids = (list: FleetStream[]) => list.map((s) => s.id + (s.recording ? '*' : ''));

test('a manager tells changes', () => {
  const list = new StreamList();
  const take = (event: object) => ids(list.take(JSON.stringify(event)));
  expect(take({ whole: true, streams: [stream('a'), stream('c')] })).toEqual(['a', 'c']);
  expect(take({ whole: false, streams: [stream('b'), stream('c', true)] })).toEqual(['a', 'b', 'c*']);
  expect(take({ whole: false, removed: ['a', 'b', 'x'], streams: [stream('b')] })).toEqual(['b', 'c*']);
  expect(take({ whole: true, streams: [] })).toEqual([]);
});

test('a node tells all', () => {
  const list = new StreamList();
  expect(ids(list.take(JSON.stringify([stream('b'), stream('a')])))).toEqual(['b', 'a']);
  expect(list.take('null')).toEqual([]);
});
