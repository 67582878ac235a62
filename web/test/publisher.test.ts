import { expect, test } from 'vitest';
import { noMediaWords } from '../src/parts/publisher';
import type { WishSession } from '../src/lib/wish';

const words = (...addresses: string[]) => noMediaWords({ addresses } as WishSession);

test('a publisher that has no way for media is told what to set', () => {
  expect(words('127.0.0.1:7777')).toContain('media.peerconnection.ice.loopback');
  const reachable = words('127.0.0.1:7777', '192.0.2.1:7777');
  expect(reachable).toContain('192.0.2.1:7777');
  expect(reachable).toContain('webrtc.listen');
  expect(reachable).toContain('webrtc.public_ips');
});
