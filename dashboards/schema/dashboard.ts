// The allowed structure of our dashboards: Grafana's types, made strict. The general types allow anything
// in options, queries, and overrides; here each panel type has its own, so that misspelled keys are
// detected.

import type * as grafana from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type * as bargauge from './node_modules/@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen';
import type * as heatmap from './node_modules/@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/types.gen';
import type * as stat from './node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type * as statetimeline from './node_modules/@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/types.gen';
import type * as table from './node_modules/@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type * as text from './node_modules/@grafana/schema/dist/types/raw/composable/text/panelcfg/x/types.gen';
import type * as timeseries from './node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';

interface Source {
  type: 'prometheus';
  uid: '${datasource}';
}

interface DataLink {
  title: string;
  url: string;
  targetBlank: boolean;
}

// @grafana/schema has no Prometheus query
interface Query {
  datasource: Source;
  editorMode: 'code';
  expr: string;
  refId: string;
  instant: boolean;
  range: boolean;
  legendFormat?: string;
  format?: 'heatmap' | 'table' | 'time_series';
}

interface Field<C> extends Omit<grafana.FieldConfig, 'custom' | 'links'> {
  custom?: Partial<C>;
  links?: DataLink[];
}

// with properties merged: they have the structure of defaults
interface Override<C> {
  matcher: { id: 'byName' | 'byRegexp' | 'byFrameRefID'; options: string };
  properties: Field<C>;
}

type Transformation =
  | { id: 'merge'; options: Record<string, never> }
  | {
      id: 'sortBy';
      options: { fields: Record<string, never>; sort: { field: string; desc?: boolean }[] };
    }
  | {
      id: 'organize';
      options: {
        excludeByName?: Record<string, boolean>;
        indexByName: Record<string, number>;
        renameByName?: Record<string, string>;
      };
    }
  | {
      id: 'calculateField';
      options: {
        mode: 'binary';
        alias: string;
        binary: { left: string; operator: '-' | '/'; right: string };
        replaceFields: boolean;
      };
    }
  | {
      id: 'groupingToMatrix';
      options: { columnField: string; rowField: string; valueField: string; emptyValue: 'null' };
    };

interface Common {
  id: number;
  title: string;
  description: string;
  gridPos: grafana.GridPos;
}

interface Panel<Kind extends string, Options, C> extends Common {
  type: Kind;
  datasource: Source;
  targets: Query[];
  maxDataPoints?: number;
  timeFrom?: string;
  interval?: string;
  options: Partial<Options>;
  fieldConfig: { defaults: Field<C>; overrides: Override<C>[] };
  transformations?: Transformation[];
}

type Nothing = Record<string, never>;

export type Stat = Panel<'stat', stat.Options, Nothing>;
export type Timeseries = Panel<'timeseries', timeseries.Options, timeseries.FieldConfig>;
export type Bargauge = Panel<'bargauge', bargauge.Options, Nothing>;
// Grafana before version 12 uses `hidden` instead of hideFrom
export type Table = Panel<'table', table.Options, table.FieldConfig & { hidden: boolean }>;
export type StateTimeline = Panel<'state-timeline', statetimeline.Options, statetimeline.FieldConfig>;
export type Heatmap = Panel<'heatmap', heatmap.Options, heatmap.FieldConfig>;

export interface Text extends Common {
  type: 'text';
  options: text.Options;
  fieldConfig: { defaults: Nothing; overrides: never[] };
}

export interface Row {
  id: number;
  type: 'row';
  title: string;
  collapsed: false;
  gridPos: grafana.GridPos;
  panels: never[];
}

interface Variable extends Omit<grafana.VariableModel, 'query'> {
  label: string;
}

interface QueryVariable extends Variable {
  type: 'query';
  datasource: Source;
  query: { query: string; refId: string };
  // written by Grafana but missing in the schema
  definition: string;
}

interface OtherVariable extends Variable {
  type: 'custom' | 'datasource';
  query: string;
}

// annotation of the Prometheus data source, which is missing in @grafana/schema
interface QueryAnnotation {
  name: string;
  datasource: Source;
  enable: boolean;
  hide: boolean;
  iconColor: string;
  expr: string;
  step: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
  useValueForTime?: 'on';
}

export interface Dashboard
  extends Omit<grafana.Dashboard, 'annotations' | 'panels' | 'templating' | 'snapshot'> {
  uid: string;
  title: string;
  description: string;
  annotations: { list: Array<grafana.AnnotationQuery | QueryAnnotation> };
  templating: { list: Array<QueryVariable | OtherVariable> };
  // checked individually, so that errors refer to the actual type
  panels: unknown[];
}

/** All checked types, for a single schema. */
export interface Checked {
  dashboard: Dashboard;
  panels: {
    stat: Stat;
    timeseries: Timeseries;
    bargauge: Bargauge;
    table: Table;
    'state-timeline': StateTimeline;
    heatmap: Heatmap;
    text: Text;
    row: Row;
  };
}
