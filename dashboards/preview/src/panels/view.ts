// Properties of all panel types.

import type { DataFrame, InterpolateFunction, TimeRange } from '@grafana/data';
import type { Marks } from '../annotations';
import type { Panel } from '../dashboard';

export interface View {
  panel: Panel;
  data: DataFrame[];
  width: number;
  height: number;
  range: TimeRange;
  marks: Marks[];
  replaceVariables: InterpolateFunction;
}
