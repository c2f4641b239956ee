// Grafana's grid: 24 columns, rows of 30 pixels, 8 pixels between panels. On a phone, all panels are as
// wide as the page.

import type { Panel } from './dashboard';

export const WIDTH = window.innerWidth;
/** Grafana's `md` breakpoint. */
const IS_PHONE = WIDTH < 769;
export const MARGIN = IS_PHONE ? 8 : 16;
const GAP = 8;
const ROW = 30;

export const COLUMN = (WIDTH - 2 * MARGIN + GAP) / 24;

/** Returns the panels where they are on this screen. */
export function arranged(panels: Panel[]): Panel[] {
  if (!IS_PHONE) {
    return panels;
  }
  const order = [...panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x);
  let y = 0;
  return order.map((panel) => {
    const { h } = panel.gridPos;
    y += h;
    return { ...panel, gridPos: { x: 0, w: 24, y: y - h, h } };
  });
}

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
