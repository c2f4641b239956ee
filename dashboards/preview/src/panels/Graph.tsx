// Time series.

import { type DataFrame, FieldColorModeId, getFieldSeriesColor } from '@grafana/data';
import { TimeSeries } from '@grafana/ui';
import { MarksOnGraph } from '../annotations';
import { theme } from '../fields';
import { useMemo } from 'react';
import type { View } from './view';

export function Graph({ panel, data, width, height, range, marks }: View) {
  const frames = useMemo(() => data.map(colored), [data]);
  return (
    <TimeSeries
      frames={frames}
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

/** Fixes colors by name, since the component forgets names when it joins the frames. */
function colored(frame: DataFrame): DataFrame {
  const fields = frame.fields.map((field) => {
    if (field.config.color?.mode !== FieldColorModeId.PaletteClassicByName) {
      return field;
    }
    const fixedColor = getFieldSeriesColor(field, theme).color;
    const state = { ...field.state };
    return { ...field, state, config: { ...field.config, color: { mode: 'fixed', fixedColor } } };
  });
  return { ...frame, fields };
}
