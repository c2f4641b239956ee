// Panels that show one value per series: stat, gauge, and bar gauge.

import {
  type FieldDisplay,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
} from '@grafana/data';
import {
  BarGauge,
  BigValue,
  DataLinksContextMenu,
  VizRepeater,
  type VizRepeaterRenderValueProps,
} from '@grafana/ui';
import type { ReactElement } from 'react';
import { theme } from '../fields';
import type { View } from './view';

type Drawn = VizRepeaterRenderValueProps<FieldDisplay, any>;

export function Stat(view: View) {
  const { options } = view.panel;
  return (
    <Repeated
      view={view}
      autoGrid
      draw={({ value, width, height, count, alignmentFactors }) => (
        <BigValue
          value={value.display}
          sparkline={options.graphMode === 'none' ? undefined : value.sparkline}
          width={width}
          height={height}
          count={count}
          alignmentFactors={alignmentFactors}
          theme={theme}
          text={options.text}
          colorMode={options.colorMode}
          graphMode={options.graphMode}
          justifyMode={options.justifyMode}
          // like Grafana's panel: the title names a single value
          textMode={
            options.textMode === 'auto' && count === 1 ? ('value' as any) : options.textMode
          }
          percentChangeColorMode={options.percentChangeColorMode}
        />
      )}
    />
  );
}

export function Bars(view: View) {
  const { options } = view.panel;
  return (
    <Repeated
      view={view}
      draw={({ value, width, height, orientation, alignmentFactors }) => (
        <BarGauge
          value={value.display}
          width={width}
          height={height}
          theme={theme}
          orientation={orientation}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex!)}
          alignmentFactors={alignmentFactors}
          text={options.text}
          displayMode={options.displayMode}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          showUnfilled={options.showUnfilled}
          itemSpacing={options.displayMode === 'lcd' ? 2 : 10}
          lcdCellWidth={12}
        />
      )}
    />
  );
}

function Repeated(props: { view: View; autoGrid?: boolean; draw: (drawn: Drawn) => ReactElement }) {
  const { panel, data, width, height, replaceVariables } = props.view;
  const { options } = panel;
  const values = () =>
    getFieldDisplayValues({
      data,
      theme,
      replaceVariables,
      fieldConfig: panel.fieldConfig ?? { defaults: {}, overrides: [] },
      reduceOptions: options.reduceOptions,
      sparkline: options.graphMode === 'area',
      timeZone: 'utc',
    });
  const linked = (drawn: Drawn) => {
    const { value } = drawn;
    return value.hasLinks && value.getLinks ? (
      <DataLinksContextMenu links={value.getLinks}>{() => props.draw(drawn)}</DataLinksContextMenu>
    ) : (
      props.draw(drawn)
    );
  };
  return (
    <VizRepeater<FieldDisplay, any>
      width={width}
      height={height}
      source={data}
      orientation={options.orientation}
      autoGrid={props.autoGrid}
      getValues={values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderCounter={0}
      renderValue={linked}
      itemSpacing={3}
      minVizWidth={options.minVizWidth}
      minVizHeight={options.minVizHeight}
      maxVizHeight={options.maxVizHeight}
    />
  );
}
