// Field configuration, overrides, and transformations: Grafana's own code, registered like in Grafana's
// application.

import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  createTheme,
  type DataFrame,
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  type FieldConfigPropertyItem,
  FieldConfigOptionsRegistry,
  identityOverrideProcessor,
  type InterpolateFunction,
  numberOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  stringOverrideProcessor,
  thresholdsOverrideProcessor,
  transformDataFrame,
  type TransformerRegistryItem,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';
import type { Panel } from './dashboard';
import { mode } from './settings';

export const theme = createTheme({ colors: { mode: mode() } });

standardTransformersRegistry.setInit(() => {
  // some have two names
  const all = new Map(Object.values(standardTransformers).map((each) => [each.id, each]));
  return [...all.values()].map(
    (each) =>
      ({
        id: each.id,
        name: each.name,
        transformation: async () => each,
        imageDark: '',
        imageLight: '',
      }) as unknown as TransformerRegistryItem,
  );
});

type Process = FieldConfigPropertyItem['process'];

const STANDARD: Record<string, Process> = {
  unit: unitOverrideProcessor,
  min: numberOverrideProcessor,
  max: numberOverrideProcessor,
  decimals: numberOverrideProcessor,
  displayName: displayNameOverrideProcessor,
  noValue: stringOverrideProcessor,
  color: identityOverrideProcessor,
  thresholds: thresholdsOverrideProcessor,
  mappings: valueMappingsOverrideProcessor,
  links: dataLinksOverrideProcessor,
  filterable: identityOverrideProcessor,
  fieldMinMax: identityOverrideProcessor,
};

/** Field options common to all panel types. */
const CUSTOM = [
  'align',
  'axisBorderShow',
  'axisCenteredZero',
  'axisColorMode',
  'axisLabel',
  'axisPlacement',
  'axisSoftMax',
  'axisSoftMin',
  'axisWidth',
  'barAlignment',
  'cellOptions',
  'drawStyle',
  'fillBelowTo',
  'fillOpacity',
  'filterable',
  'gradientMode',
  'hidden',
  'hideFrom',
  'inspect',
  'lineInterpolation',
  'lineStyle',
  'lineWidth',
  'minWidth',
  'pointSize',
  'scaleDistribution',
  'showPoints',
  'spanNulls',
  'stacking',
  'thresholdsStyle',
  'transform',
  'width',
  'wrapText',
];

const registry = new FieldConfigOptionsRegistry(() => [
  ...Object.entries(STANDARD).map(([path, process]) => property(path, path, process, false)),
  ...CUSTOM.map((path) => property(`custom.${path}`, path, identityOverrideProcessor, true)),
]);

function property(id: string, path: string, process: Process, isCustom: boolean) {
  return {
    id,
    path,
    process,
    isCustom,
    name: id,
    shouldApply: () => true,
    settings: {},
  } as unknown as FieldConfigPropertyItem;
}

/** Returns the data frames as displayed by the panel. */
export async function configured(
  panel: Panel,
  frames: DataFrame[],
  replaceVariables: InterpolateFunction,
): Promise<DataFrame[]> {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  for (const { properties } of overrides) {
    for (const { id } of properties) {
      if (!registry.getIfExists(id)) {
        throw new Error(`the preview does not support the override ${id}`);
      }
    }
  }
  const transformations = panel.transformations ?? [];
  const transformed = await lastValueFrom(transformDataFrame(transformations, frames));
  const data = applyFieldOverrides({
    data: transformed,
    fieldConfig: { defaults, overrides },
    fieldConfigRegistry: registry,
    replaceVariables,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(data);
  return data;
}
