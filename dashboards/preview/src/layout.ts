// Grafana's grid: 24 columns, rows of 30 pixels, 8 pixels between panels.

import type { Panel } from './dashboard';

export const WIDTH = 1600;
export const MARGIN = 16;
const GAP = 8;
const ROW = 30;

export const COLUMN = (WIDTH - 2 * MARGIN + GAP) / 24;

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export function box({ x, y, w, h }: Panel['gridPos']): Box {
  return {
    left: MARGIN + Math.round(x * COLUMN),
    top: y * (ROW + GAP),
    width: Math.round(w * COLUMN) - GAP,
    height: h * (ROW + GAP) - GAP,
  };
}

export function bottom(panels: Panel[]): number {
  return Math.max(...panels.map(({ gridPos }) => (gridPos.y + gridPos.h) * (ROW + GAP)));
}
