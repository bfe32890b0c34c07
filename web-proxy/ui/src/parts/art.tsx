// The picture of a video that has no picture: water drawn from its id, so that the same video always looks the same.

export interface Art {
  hue: number;
  waves: string[];
}

/** Three waves and a hue from the letters of an id. */
export function artOf(id: string): Art {
  let seed = 2166136261;
  for (const letter of id) seed = Math.imul(seed ^ letter.charCodeAt(0), 16777619) >>> 0;
  const roll = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const hue = 165 + roll(110);
  const waves = [78, 108, 140].map((base) => {
    const y = base + roll(18) - 9;
    const height = 10 + roll(22);
    const shift = roll(120) - 60;
    const start = -80 + shift;
    return `M${start} ${y}q60 ${-height} 120 0t120 0t120 0t120 0t120 0V200H${start}z`;
  });
  return { hue, waves };
}

export function Picture({ id }: { id: string }) {
  const { hue, waves } = artOf(id);
  return (
    <svg class="art" viewBox="0 0 320 180" preserveAspectRatio="xMidYMid slice" aria-hidden="true" style={{ "--hue": String(hue) }}>
      <rect class="art-sky" width="320" height="180" />
      {waves.map((path, index) => <path key={index} class={`art-wave art-wave-${index}`} d={path} />)}
    </svg>
  );
}
