// Time ranges and steps, computed like in Grafana and its Prometheus data source.

import { rangeUtil, type TimeRange } from '@grafana/data';

/** Maximum number of points. */
const MOST_POINTS = 11_000;

export function timeRange(from: string, to: string): TimeRange {
  const time = (text: string) => (/^\d+$/.test(text) ? new Date(Number(text)).toISOString() : text);
  return rangeUtil.convertRawToRange({ from: time(from), to: time(to) });
}

export function seconds(text: string): number {
  return rangeUtil.intervalToSeconds(text);
}

export interface Step {
  /** Interval between points, in seconds. */
  interval: number;
  /** `$__rate_interval`, in seconds. */
  rateInterval: number;
}

/** Returns the step of a query for a panel width. */
export function step(
  range: TimeRange,
  width: number,
  scrapeInterval: string,
  least?: string,
): Step {
  const scrape = seconds(scrapeInterval);
  const shortest = least ? seconds(least.replace('>', '')) : scrape;
  const points = Math.min(Math.max(width, 1), MOST_POINTS);
  const { intervalMs } = rangeUtil.calculateInterval(range, points, `${shortest}s`);
  const interval = Math.max(intervalMs / 1000, shortest);
  return { interval, rateInterval: Math.max(interval + scrape, 4 * scrape) };
}

export function unix(range: TimeRange): { from: number; to: number } {
  return { from: range.from.valueOf() / 1000, to: range.to.valueOf() / 1000 };
}
