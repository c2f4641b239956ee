// Heatmaps of buckets. Grafana does not publish its panel; this one has the same cells, and the colors
// of the same d3 scheme.

import { type DataFrame, formattedValueToString, getValueFormat } from '@grafana/data';
import * as schemes from 'd3-scale-chromatic';
import { theme } from '../fields';
import { Axes } from './Axes';
import type { View } from './view';

export function Heatmap({ panel, data, width, height, range }: View) {
  const { color = {}, cellGap = 1, yAxis = {}, filterValues } = panel.options;
  const scheme = (schemes as unknown as Record<string, (part: number) => string>)[
    `interpolate${color.scheme ?? 'Oranges'}`
  ];
  const rows = [...data].reverse();
  const counts = rows.flatMap((frame) => frame.fields[1].values.filter((each) => each > 0));
  const most = Math.max(...counts, 0);
  const least = filterValues?.le ?? 0;
  const shade = (count: number) => {
    const part = Math.pow(count / most, color.exponent ?? 0.5);
    // high counts are bright on a dark page, like in Grafana
    return scheme(color.reverse === theme.isDark ? part : 1 - part);
  };
  return (
    <Axes
      width={width}
      height={height}
      range={range}
      rows={rows.map((frame) => name(frame, yAxis.unit))}
    >
      {({ x, y, rowHeight }) =>
        rows.map((frame, row) => {
          const times = frame.fields[0].values;
          return frame.fields[1].values.map((count, at) =>
            count > least ? (
              <rect
                key={`${row} ${at}`}
                x={x(times[at])}
                y={y(row) + cellGap / 2}
                width={Math.max(x(times[at + 1] ?? times[at]) - x(times[at]) - cellGap, 1)}
                height={rowHeight - cellGap}
                fill={shade(count)}
              />
            ) : null,
          );
        })
      }
    </Axes>
  );
}

function name(frame: DataFrame, unit?: string): string {
  const bound = Number(frame.name);
  return Number.isFinite(bound)
    ? formattedValueToString(getValueFormat(unit)(bound))
    : (frame.name ?? '');
}
