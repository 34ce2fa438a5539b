import type { SingleRow } from './single.ts';

const width = 760;
const height = 400;
const left = 70;
const right = 190;
const top = 50;
const bottom = 50;
const colours = ['#b3423a', '#8a6d1f', '#1f6f8b'];

/** Customers a second by callers, both on logarithmic scales, one line a way. */
export function drawSingle(rows: readonly SingleRow[]): string {
  const callers = [...new Set(rows.map((row) => row.callers))];
  const ways = [...new Set(rows.map((row) => row.way))];
  const highest = 10 ** Math.ceil(Math.log10(Math.max(...rows.map((row) => row.perSecond))));
  const lowest = 10 ** Math.floor(Math.log10(Math.min(...rows.map((row) => row.perSecond))));
  const x = (count: number) =>
    left + (callers.indexOf(count) / Math.max(callers.length - 1, 1)) * (width - left - right);
  const y = (value: number) => {
    const share = (Math.log10(value) - Math.log10(lowest)) / (Math.log10(highest) - Math.log10(lowest));
    return height - bottom - share * (height - top - bottom);
  };

  const grid = powersOfTen(lowest, highest).map(
    (value) => `<line x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}" stroke="#ccc"/>
<text x="${left - 8}" y="${y(value) + 4}" text-anchor="end">${value.toLocaleString('en')}</text>`,
  );
  const axis = callers.map(
    (count) => `<text x="${x(count)}" y="${height - bottom + 20}" text-anchor="middle">${count}</text>`,
  );
  const lines = ways.map((way, i) => {
    const points = rows
      .filter((row) => row.way === way)
      .map((row) => [x(row.callers), y(row.perSecond), row.perSecond] as const);
    const [lastX, lastY, last] = points.at(-1) as readonly [number, number, number];
    const dots = points.map(([px, py]) => `<circle cx="${px}" cy="${py}" r="4" fill="${colours[i]}"/>`).join('');
    return `<polyline points="${points.map(([px, py]) => `${px},${py}`).join(' ')}" fill="none" stroke="${colours[i]}" stroke-width="2"/>
${dots}<text x="${lastX + 10}" y="${lastY + 4}" fill="${colours[i]}">${way.slice(3)}, ${Math.round(last).toLocaleString('en')}/s</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13" role="img">
<title>Customers labelled a second, by callers at the same time</title>
<rect width="${width}" height="${height}" fill="white"/>
<text x="${left}" y="26" font-size="16">Customers labelled a second, one customer a request</text>
${[...grid, ...axis, ...lines].join('\n')}
<text x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle">callers at the same time</text>
</svg>
`;
}

function powersOfTen(lowest: number, highest: number): number[] {
  const count = Math.round(Math.log10(highest / lowest)) + 1;
  return Array.from({ length: count }, (_, i) => lowest * 10 ** i);
}
