// A time axis and named rows, for panels that Grafana does not publish.

import { dateTimeFormat, type TimeRange } from '@grafana/data';
import type { ReactNode } from 'react';
import { theme } from '../fields';

const FOOT = 20;
const TEXT = {
  fill: theme.colors.text.secondary,
  fontSize: 12,
  dominantBaseline: 'middle',
} as const;

export interface Place {
  /** Position of a time in milliseconds, clamped to the range. */
  x: (time: number) => number;
  /** Position of a row. */
  y: (row: number) => number;
  rowHeight: number;
  left: number;
  right: number;
}

interface Props {
  width: number;
  height: number;
  range: TimeRange;
  rows: string[];
  children: (place: Place) => ReactNode;
}

export function Axes({ width, height, range, rows, children }: Props) {
  const longest = Math.max(...rows.map((row) => row.length));
  const left = Math.min(longest * 7 + 10, width / 4);
  const [from, to] = [range.from.valueOf(), range.to.valueOf()];
  const x = (time: number) => {
    const part = (Math.min(Math.max(time, from), to) - from) / (to - from);
    return left + part * (width - left);
  };
  const rowHeight = (height - FOOT) / rows.length;
  const y = (row: number) => row * rowHeight;
  // there may be too many rows to label each
  const every = Math.ceil(14 / rowHeight);
  return (
    <svg width={width} height={height} style={{ display: 'block' }}>
      {rows.map((row, index) =>
        index % every === 0 ? (
          <text
            key={row + index}
            x={left - 8}
            y={y(index) + rowHeight / 2}
            textAnchor="end"
            {...TEXT}
          >
            {row.length * 7 + 10 > left ? `${row.slice(0, Math.floor(left / 7) - 2)}…` : row}
          </text>
        ) : null,
      )}
      {children({ x, y, rowHeight, left, right: width })}
      {ticks(from, to, width - left).map((time) => (
        <text key={time} x={x(time)} y={height - FOOT / 2} textAnchor="middle" {...TEXT}>
          {dateTimeFormat(time, { format: 'HH:mm', timeZone: 'utc' })}
        </text>
      ))}
    </svg>
  );
}

const HOUR = 3_600_000;
const SPACINGS = [1 / 60, 1 / 12, 1 / 6, 1 / 4, 1 / 2, 1, 2, 3, 4, 6, 12, 24, 48].map(
  (n) => n * HOUR,
);

/** Round times, with 70 pixels for each label. */
function ticks(from: number, to: number, width: number): number[] {
  const most = Math.max(width / 70, 1);
  const spacing = SPACINGS.find((each) => (to - from) / each <= most) ?? 168 * HOUR;
  const first = Math.ceil(from / spacing) * spacing;
  const count = Math.floor((to - first) / spacing) + 1;
  // skip labels that would be cut off
  return Array.from({ length: count }, (_, index) => first + index * spacing).filter(
    (time) => ((to - time) / (to - from)) * width > 18,
  );
}
