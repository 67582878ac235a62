// The layers of a simulcast publisher: several encodings of one picture.

/** The part of an encoding that its offer says. */
export interface LayerOffer {
  rid: string;
  scaleResolutionDownBy: number;
  scalabilityMode: string;
}

const scales = { h: 1, m: 2, l: 4 };

/**
 * The encodings to offer, the biggest first. The scalability mode is the one without layers
 * within an encoding: with none, Chromium sends VP9 as one SVC stream instead of simulcast.
 */
export function simulcastLayers(): LayerOffer[] {
  return Object.entries(scales).map(([rid, scaleResolutionDownBy]) => ({
    rid,
    scaleResolutionDownBy,
    scalabilityMode: 'L1T1',
  }));
}
