// Time series.

import { TimeSeries } from '@grafana/ui';
import { MarksOnGraph } from '../annotations';
import type { View } from './view';

export function Graph({ panel, data, width, height, range, marks }: View) {
  return (
    <TimeSeries
      frames={data}
      structureRev={1}
      width={width}
      height={height}
      timeRange={range}
      timeZone="utc"
      legend={panel.options.legend}
      options={panel.options}
    >
      {(config) => <MarksOnGraph config={config} marks={marks} />}
    </TimeSeries>
  );
}
