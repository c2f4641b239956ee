// The parts of the dashboard JSON that the preview reads.

import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

export interface Dashboard {
  uid: string;
  title: string;
  description?: string;
  time?: { from: string; to: string };
  panels: Panel[];
  templating?: { list: Variable[] };
  annotations?: { list: Annotation[] };
}

export interface Panel {
  id: number;
  type: string;
  title?: string;
  description?: string;
  transparent?: boolean;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
  interval?: string;
  timeFrom?: string;
  fieldConfig?: FieldConfigSource;
  // specific to the panel type
  options?: any;
  transformations?: DataTransformerConfig[];
  collapsed?: boolean;
  panels?: Panel[];
}

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  interval?: string;
  hide?: boolean;
}

export interface Variable {
  type: 'datasource' | 'query' | 'custom' | 'constant' | 'textbox' | 'interval';
  name: string;
  label?: string;
  query?: string | { query: string };
  definition?: string;
  regex?: string;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  sort?: number;
  hide?: number;
  current?: { value?: string | string[] };
}

export interface Annotation {
  name: string;
  enable: boolean;
  hide?: boolean;
  builtIn?: number;
  iconColor: string;
  expr?: string;
  titleFormat?: string;
  step?: string;
  useValueForTime?: string | boolean;
}

/** Returns the panels as Grafana arranges them with every collapsed row expanded. */
export function opened(panels: Panel[]): Panel[] {
  let shift = 0;
  return panels.flatMap((panel) => {
    const moved = move(panel, shift);
    const inside = panel.collapsed ? (panel.panels ?? []) : [];
    if (inside.length === 0) {
      return [moved];
    }
    const top = Math.min(...inside.map((each) => each.gridPos.y));
    const bottom = Math.max(...inside.map((each) => each.gridPos.y + each.gridPos.h));
    const begin = moved.gridPos.y + 1;
    shift += bottom - top;
    return [moved, ...inside.map((each) => move(each, begin - top))];
  });
}

function move(panel: Panel, by: number): Panel {
  return { ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y + by } };
}
