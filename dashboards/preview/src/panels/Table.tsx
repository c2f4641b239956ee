// Tables, with Grafana's cells, colors, and links.

import { TableNG } from '@grafana/ui/unstable';
import type { View } from './view';

export function Table({ panel, data, width, height, range }: View) {
  const { showHeader = true, cellHeight, sortBy } = panel.options;
  return (
    <TableNG
      data={data[0]}
      width={width}
      height={height}
      noHeader={!showHeader}
      cellHeight={cellHeight}
      sortBy={sortBy}
      structureRev={1}
      timeRange={range}
      showTypeIcons={false}
      enableSharedCrosshair={false}
      getActions={() => []}
    />
  );
}
