// Loads all data of a page before rendering.

import type { DataFrame, InterpolateFunction, TimeRange } from '@grafana/data';
import { annotations, type Marks } from './annotations';
import { type Dashboard, opened, type Panel } from './dashboard';
import { configured } from './fields';
import { forFields, type Values } from './interpolation';
import { arranged, COLUMN } from './layout';
import { Prometheus } from './prometheus';
import { frames, type Source } from './query';
import { problem, report } from './report';
import { settings, times, uid } from './settings';
import { timeRange } from './time';
import { variables } from './variables';

export interface Loaded {
  dashboard: Dashboard;
  range: TimeRange;
  values: Values;
  marks: Marks[];
  panels: Array<{ panel: Panel; data: DataFrame[]; range: TimeRange }>;
  replaceVariables: InterpolateFunction;
}

export async function load(): Promise<Loaded> {
  const known = await settings();
  const answer = await fetch(`/dashboards/${uid()}.json`);
  if (!answer.headers.get('content-type')?.includes('json')) {
    throw new Error(`unknown dashboard ${uid()}`);
  }
  const dashboard: Dashboard = await answer.json();
  const { from, to } = { from: 'now-6h', to: 'now', ...dashboard.time, ...given(times()) };
  const range = timeRange(from, to);
  const prometheus = new Prometheus(known.prometheus);
  const values = await variables(dashboard, prometheus, range);
  const source: Source = { prometheus, settings: known, values };
  const replaceVariables = forFields(values, `from=${from}&to=${to}`);
  const marks = await annotations(dashboard.annotations?.list ?? [], source, range);
  const panels = arranged(opened(dashboard.panels)).map(async (panel) => {
    const own = panel.timeFrom ? timeRange(`now-${panel.timeFrom}`, 'now') : range;
    return { panel, range: own, data: await read(panel, source, own, replaceVariables) };
  });
  return { dashboard, range, values, marks, replaceVariables, panels: await Promise.all(panels) };
}

function given<T extends object>(all: T): Partial<T> {
  const entries = Object.entries(all).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}

async function read(
  panel: Panel,
  source: Source,
  range: TimeRange,
  replaceVariables: InterpolateFunction,
): Promise<DataFrame[]> {
  if (!panel.targets) {
    return [];
  }
  try {
    const found = await frames(panel, source, range, panel.gridPos.w * COLUMN);
    const data = await configured(panel, found, replaceVariables);
    const isEmpty = data.every((frame) => frame.length === 0);
    if (isEmpty) {
      report.empty.push(panel.title ?? `panel ${panel.id}`);
    }
    return isEmpty ? [] : data;
  } catch (error) {
    problem(panel.title ?? `panel ${panel.id}`, error);
    return [];
  }
}
