// Lines of 24 by 24 pixels in the colour of the text; what they mean stands beside them.

const paths = {
  live: 'M4 5h16v11H4zM9 20h6M12 16v4',
  recordings: 'M3 12h3M8 7v10M12 4v16M16 8v8M19 12h2',
  publish: 'M12 19V6M6 11l6-6 6 6M5 21h14',
  nodes: 'M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01',
  system: 'M4 7h10M18 7h2M4 17h2M10 17h10M14 4v6M6 14v6',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
