// Players that show the same moment: one leads, the others follow its clock.

/** How far the others may be away, in ms: nearer is the same, farther is sought, and what lies between is made up for by their speed. */
const bounds = { same: 40, jump: 1500 };
const most = 0.15; // that the speed may differ by

export interface Clocks {
  lead: number; // Unix milliseconds of its picture
  own: number | undefined;
  moving: boolean; // does the lead go on?
  rate: number; // of the lead
  has: boolean; // is there anything to show at the moment of the lead?
}

export interface Step {
  seek?: number;
  rate: number;
  play: boolean;
}

/** What a follower has to do now. */
export function inStep({ lead, own, moving, rate, has }: Clocks): Step {
  if (!has) return { rate, play: false }; // nothing is recorded: it waits for what comes
  if (own === undefined) return { seek: lead, rate, play: moving };
  const behind = lead - own;
  if (!moving) return { ...(Math.abs(behind) > bounds.same && { seek: lead }), rate, play: false };
  if (Math.abs(behind) > bounds.jump * Math.max(1, rate)) return { seek: lead + 300 * rate, rate, play: true }; // which takes a moment
  if (Math.abs(behind) < bounds.same) return { rate, play: true };
  const part = Math.max(-most, Math.min(most, behind / 2000));
  return { rate: rate * (1 + part), play: true };
}
