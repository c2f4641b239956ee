// Annotations: lines across the graphs. Grafana shows their text on hover.

import type { TimeRange } from '@grafana/data';
import type { UPlotConfigBuilder } from '@grafana/ui';
import { useLayoutEffect } from 'react';
import type { Annotation } from './dashboard';
import { theme } from './fields';
import { marks, type Source } from './query';
import { problem } from './report';

export interface Marks {
  color: string;
  times: number[];
}

/** Loads the enabled annotations. */
export async function annotations(
  list: Annotation[],
  source: Source,
  range: TimeRange,
): Promise<Marks[]> {
  const own = list.filter((annotation) => annotation.enable && annotation.expr);
  const found = own.map(async ({ name, expr = '', iconColor, step, useValueForTime }) => {
    try {
      const valueIsTime = useValueForTime === 'on' || useValueForTime === true;
      const times = await marks(expr, source, range, step || '60s', valueIsTime);
      return [{ color: theme.visualization.getColorByName(iconColor), times }];
    } catch (error) {
      problem(`annotation ${name}`, error);
      return [];
    }
  });
  return (await Promise.all(found)).flat();
}

/** Draws annotation markers on a graph. */
export function MarksOnGraph({ config, marks }: { config: UPlotConfigBuilder; marks: Marks[] }) {
  useLayoutEffect(() => {
    config.addHook('draw', (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.lineWidth = devicePixelRatio;
      for (const { color, times } of marks) {
        ctx.strokeStyle = ctx.fillStyle = color;
        for (const time of times) {
          const x = plot.valToPos(time, 'x', true);
          ctx.globalAlpha = 0.45;
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
          ctx.globalAlpha = 1;
          const half = 4 * devicePixelRatio;
          ctx.beginPath();
          ctx.moveTo(x - half, bbox.top + bbox.height + half);
          ctx.lineTo(x + half, bbox.top + bbox.height + half);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.fill();
        }
      }
      ctx.restore();
    });
  }, [config, marks]);
  return null;
}
