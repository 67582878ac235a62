// The order of names as people have it, and searching in them.

const collator = new Intl.Collator(['en', 'zh'], { numeric: true, sensitivity: 'base' });

/** Compares names with their numbers as numbers: cam2 comes before cam10. */
export function natural(a: string, b: string): number {
  return collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

/** Whether a name has every word of a search in it. */
export function matches(name: string, search: string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const low = name.toLowerCase();
  return words.every((word) => low.includes(word));
}
