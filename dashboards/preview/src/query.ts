// The queries of a panel, and the data frames that Grafana's Prometheus data source creates from them.

import { type DataFrame, FieldType, type Labels, type TimeRange, toDataFrame } from '@grafana/data';
import type { Panel, Target } from './dashboard';
import { query, type Values } from './interpolation';
import type { Prometheus, Series } from './prometheus';
import { problem, report } from './report';
import type { Settings } from './settings';
import { seconds, step, unix } from './time';

export interface Source {
  prometheus: Prometheus;
  settings: Settings;
  values: Values;
}

/** Returns the frames of all queries of a panel of the given width in pixels. */
export async function frames(
  panel: Panel,
  source: Source,
  range: TimeRange,
  width: number,
): Promise<DataFrame[]> {
  const targets = (panel.targets ?? []).filter((target) => !target.hide);
  const tables = targets.filter((target) => target.format === 'table').length;
  const answers = targets.map(async (target) => {
    try {
      const found = await ask(target, panel, source, range, width);
      if (found.series.length === 0) {
        report.emptyQueries.push(`${panel.title} ${target.refId}`);
      }
      return shape(target, found, tables > 1);
    } catch (error) {
      problem(`${panel.title} ${target.refId}`, error);
      return [];
    }
  });
  return (await Promise.all(answers)).flat();
}

interface Found {
  series: Series[];
  /** Evaluation times of a range query in seconds; empty for an instant query. */
  times: number[];
}

async function ask(
  target: Target,
  panel: Panel,
  { prometheus, settings, values }: Source,
  range: TimeRange,
  width: number,
): Promise<Found> {
  const least = target.interval || panel.interval;
  const { interval, rateInterval } = step(range, width, settings.scrapeInterval, least);
  const { from, to } = unix(range);
  const length = Math.round(to - from);
  const expression = query(target.expr, values, {
    __interval: `${interval}s`,
    __interval_ms: String(interval * 1000),
    __rate_interval: `${rateInterval}s`,
    __range: `${length}s`,
    __range_s: String(length),
    __range_ms: String(length * 1000),
  });
  // `$1` stands for a group of label_replace
  const left = /\$([a-zA-Z_]\w*|\{)/.exec(expression);
  if (left) {
    throw new Error(`${left[0]} was not replaced in ${expression}`);
  }
  if (target.instant) {
    return { series: await prometheus.query(expression, to), times: [] };
  }
  const start = Math.floor(from / interval) * interval;
  const end = Math.floor(to / interval) * interval;
  const count = Math.round((end - start) / interval) + 1;
  return {
    series: await prometheus.queryRange(expression, start, end, interval),
    times: Array.from({ length: count }, (_, index) => start + index * interval),
  };
}

function shape(target: Target, { series, times }: Found, several: boolean): DataFrame[] {
  if (target.format === 'table') {
    return series.length > 0 ? [table(target, series, several)] : [];
  }
  const all = series.map((each) => line(target, each, times));
  return target.format === 'heatmap' ? buckets(all) : all;
}

/** Returns one frame per series. Steps without a value become gaps. */
function line(target: Target, { metric, value, values }: Series, times: number[]): DataFrame {
  const known = new Map((values ?? []).map(([time, text]) => [time, Number(text)]));
  const instants = value ? [value[0]] : times;
  const numbers = value ? [Number(value[1])] : times.map((time) => known.get(time) ?? null);
  const { __name__, ...labels } = metric;
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: instants.map((time) => time * 1000) },
      {
        name: 'Value',
        type: FieldType.number,
        labels,
        config: { displayNameFromDS: legend(target.legendFormat, __name__, labels) },
        values: numbers,
      },
    ],
  });
}

/** Returns the name of a series; for `__auto`, Grafana uses the labels that differ. */
function legend(format: string | undefined, name: string | undefined, labels: Labels) {
  if (format === '__auto') {
    return undefined;
  }
  if (format) {
    return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');
  }
  const block = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return `${name ?? ''}{${block.join(', ')}}`;
}

/** Returns a frame with one column per label. */
function table(target: Target, series: Series[], several: boolean): DataFrame {
  const labels = [...new Set(series.flatMap((each) => Object.keys(each.metric)))].sort();
  const last = series.map((each) => each.value ?? each.values?.at(-1) ?? [0, 'NaN']);
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: last.map(([time]) => Number(time) * 1000) },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        config: { filterable: true },
        values: series.map((each) => each.metric[label] ?? ''),
      })),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        values: last.map(([, text]) => Number(text)),
      },
    ],
  });
}

/** Converts the cumulative buckets of Prometheus to counts per bucket. */
function buckets(all: DataFrame[]): DataFrame[] {
  const bound = (frame: DataFrame) =>
    Number((frame.fields[1].labels?.le ?? '').replace('+Inf', 'Infinity'));
  const sorted = [...all].sort((a, b) => bound(a) - bound(b));
  return sorted.map((frame, index) => {
    const below = sorted[index - 1]?.fields[1].values;
    const [time, value] = frame.fields;
    const own = value.values.map((count: number | null, at: number) =>
      count === null ? null : Math.max(count - (below?.[at] ?? 0), 0),
    );
    return { ...frame, name: value.labels?.le, fields: [time, { ...value, values: own }] };
  });
}

/** Returns the annotation markers of a query. */
export async function marks(
  expression: string,
  source: Source,
  range: TimeRange,
  every: string,
  valueIsTime: boolean,
): Promise<number[]> {
  const { from, to } = unix(range);
  const text = query(expression, source.values);
  const found = await source.prometheus.queryRange(text, from, to, seconds(every));
  if (valueIsTime) {
    const times = found.flatMap((series) =>
      (series.values ?? []).map(([, value]) => Number(value)),
    );
    return [...new Set(times)].filter((time) => time >= from * 1000 && time <= to * 1000);
  }
  // the start of a series; series present at the left edge started earlier
  return found.flatMap((series) => {
    const times = (series.values ?? []).map(([time]) => time);
    const begins = (time: number, index: number) =>
      index === 0 ? time > from + seconds(every) : time - times[index - 1] > seconds(every) * 1.5;
    return times.filter(begins).map((time) => time * 1000);
  });
}
