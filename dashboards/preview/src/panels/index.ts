// Panel types that the preview supports.

import type { ComponentType } from 'react';
import { Graph } from './Graph';
import { Heatmap } from './Heatmap';
import { Bars, Stat } from './Reduced';
import { StateTimeline } from './StateTimeline';
import { Table } from './Table';
import { Text } from './Text';
import type { View } from './view';

export const KINDS: Record<string, ComponentType<View>> = {
  bargauge: Bars,
  heatmap: Heatmap,
  stat: Stat,
  'state-timeline': StateTimeline,
  table: Table,
  text: Text,
  timeseries: Graph,
};
