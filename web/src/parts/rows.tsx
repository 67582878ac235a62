import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** Up to so many rows are simply there, so that the browser can find in them; of more there are few until what shows them is loaded. */
const plain = { most: 60, first: 20 };

type Long = typeof import('./longrows').LongRows;
let long: Long | undefined;

export interface RowsProps<T> {
  items: readonly T[];
  keyOf: (item: T) => string;
  row: (item: T) => ComponentChildren; // one <li> for each, without a key
  height: number; // of a row, as a guess
  testid: string;
  class?: string;
  label?: string;
}

/** A list of rows; of a long one those that can be seen, and a few beside them. */
export function Rows<T>(props: RowsProps<T>) {
  const { items, keyOf, row, testid, label } = props;
  const many = items.length > plain.most;
  const Long = useLong(many);
  if (many && Long) return <Long {...props} />;
  const shown = many ? items.slice(0, plain.first) : items;
  return (
    <ul class={props.class ?? 'rows'} data-testid={testid} aria-label={label}>
      {shown.map((item) => (
        <li key={keyOf(item)}>{row(item)}</li>
      ))}
    </ul>
  );
}

/** What shows long lists, once there is one. */
function useLong(many: boolean): Long | undefined {
  const [, loaded] = useState(long !== undefined);
  useEffect(() => {
    if (!many || long) return;
    void import('./longrows').then(
      (module) => {
        long = module.LongRows;
        loaded(true);
      },
      () => undefined, // the first rows stay
    );
  }, [many]);
  return long;
}
