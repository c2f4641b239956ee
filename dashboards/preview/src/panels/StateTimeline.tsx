// State timelines. Grafana does not publish its panel; this one shows the same states in the same colors,
// and merges equal neighbors.

import { type DataFrame, type Field, FieldType, getFieldDisplayName } from '@grafana/data';
import { theme } from '../fields';
import { Axes } from './Axes';
import type { View } from './view';

/** Height of the legend, in pixels. */
const LEGEND = 24;

interface Span {
  from: number;
  to: number;
  text: string;
  color: string;
}

export function StateTimeline({ panel, data, width, height, range }: View) {
  const rows = data.flatMap((frame) =>
    frame.fields
      .filter((field) => field.type !== FieldType.time)
      .map((field) => ({
        name: getFieldDisplayName(field, frame, data),
        spans: spans(frame, field),
      })),
  );
  const { rowHeight: filled = 0.9, showValue = 'auto', legend } = panel.options;
  const fillOpacity = (panel.fieldConfig?.defaults.custom?.fillOpacity ?? 70) / 100;
  const names = rows.map((row) => row.name);
  const foot = legend?.showLegend ? LEGEND : 0;
  const axes = (
    <Axes width={width} height={height - foot} range={range} rows={names}>
      {({ x, y, rowHeight }) =>
        rows.map((row, index) =>
          row.spans.map(({ from, to, text, color }) => {
            const [left, wide] = [x(from), Math.max(x(to) - x(from), 1)];
            const [top, high] = [y(index) + (rowHeight * (1 - filled)) / 2, rowHeight * filled];
            const fits = high >= 12 && text.length * 6.5 + 6 < wide;
            return (
              <g key={`${index} ${from}`}>
                <rect
                  x={left}
                  y={top}
                  width={wide}
                  height={high}
                  fill={color}
                  fillOpacity={fillOpacity}
                />
                {fits && showValue !== 'never' && (
                  <text
                    x={left + 4}
                    y={top + high / 2}
                    dominantBaseline="middle"
                    fontSize={11}
                    fill={theme.colors.text.primary}
                  >
                    {text}
                  </text>
                )}
              </g>
            );
          }),
        )
      }
    </Axes>
  );
  const states = new Map(rows.flatMap((row) => row.spans.map(({ text, color }) => [text, color])));
  return (
    <>
      {axes}
      {foot > 0 && (
        <div style={{ height: LEGEND, display: 'flex', flexWrap: 'wrap', gap: 16, fontSize: 12 }}>
          {[...states].map(([text, color]) => (
            <span key={text}>
              <span style={{ color }}>■</span> {text}
            </span>
          ))}
        </div>
      )}
    </>
  );
}

function spans(frame: DataFrame, field: Field): Span[] {
  const times = frame.fields.find((each) => each.type === FieldType.time)?.values ?? [];
  const found: Span[] = [];
  field.values.forEach((value, index) => {
    if (value === null || value === undefined) {
      return;
    }
    const { text, color } = field.display!(value);
    const from = times[index];
    // a state lasts until the next point; the end of the last one is unknown
    const to = times[index + 1] ?? from;
    const last = found.at(-1);
    if (last && last.text === text && last.to === from) {
      last.to = to;
    } else {
      found.push({ from, to, text, color: color ?? theme.colors.text.secondary });
    }
  });
  return found;
}
