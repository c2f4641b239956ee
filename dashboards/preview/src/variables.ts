// Dashboard variables: options and current values.

import { stringToJsRegex, type TimeRange } from '@grafana/data';
import type { Dashboard, Variable } from './dashboard';
import { query, type Value, type Values } from './interpolation';
import type { Prometheus } from './prometheus';
import { problem, report } from './report';
import { chosen } from './settings';
import { unix } from './time';

interface Option {
  text: string;
  value: string;
}

const ALL = '$__all';

/** Sets all variables, each with the values of the previous ones. */
export async function variables(
  dashboard: Dashboard,
  prometheus: Prometheus,
  range: TimeRange,
): Promise<Values> {
  const values: Values = new Map();
  for (const variable of dashboard.templating?.list ?? []) {
    try {
      const options = await optionsOf(variable, values, prometheus, range);
      if (variable.type === 'query' && options.length === 0) {
        report.empty.push(`variable ${variable.name}`);
      }
      values.set(variable.name, valueOf(variable, options));
    } catch (error) {
      problem(`variable ${variable.name}`, error);
    }
  }
  return values;
}

async function optionsOf(
  variable: Variable,
  values: Values,
  prometheus: Prometheus,
  range: TimeRange,
): Promise<Option[]> {
  const text = typeof variable.query === 'string' ? variable.query : (variable.query?.query ?? '');
  switch (variable.type) {
    case 'query': {
      const found = await find(query(text, values), prometheus, range);
      return matching(found, variable);
    }
    case 'datasource':
      return [{ text: 'Prometheus', value: 'prometheus' }];
    case 'custom':
    case 'interval':
      return text.split(',').map((each) => {
        const [name, value] = each.trim().split(' : ');
        return { text: name, value: value ?? name };
      });
    default:
      return [{ text, value: text }];
  }
}

/** Evaluates a variable query like Grafana's data source. */
async function find(text: string, prometheus: Prometheus, range: TimeRange): Promise<string[]> {
  const { from, to } = unix(range);
  const labelValues = /^label_values\((?:(.+),\s*)?(\w+)\)\s*$/s.exec(text);
  if (labelValues) {
    return prometheus.labelValues(labelValues[2], from, to, labelValues[1]);
  }
  const result = /^query_result\((.+)\)\s*$/s.exec(text);
  if (!result) {
    throw new Error(`unsupported variable query: ${text}`);
  }
  const series = await prometheus.query(result[1], to);
  return series.map(({ metric: { __name__ = '', ...labels }, value }) => {
    const block = Object.entries(labels).map(([label, each]) => `${label}="${each}"`);
    return `${__name__}{${block.join(',')}} ${value?.[1]} ${Number(value?.[0]) * 1000}`;
  });
}

/** Extracts a part of each text; named groups separate the displayed text from the value. */
function matching(texts: string[], { regex = '', sort = 0 }: Variable): Option[] {
  const options = texts.flatMap((text): Option[] => {
    if (!regex) {
      return [{ text, value: text }];
    }
    const match = stringToJsRegex(regex).exec(text);
    if (!match) {
      return [];
    }
    const value = match.groups?.value ?? match.groups?.text ?? match[1] ?? match[0];
    return [{ text: match.groups?.text ?? value, value }];
  });
  return sort === 0 ? options : options.sort((a, b) => a.text.localeCompare(b.text));
}

function valueOf(variable: Variable, options: Option[]): Value {
  const inAddress = chosen(variable.name);
  const current = inAddress.length > 0 ? inAddress : [variable.current?.value ?? []].flat();
  const multi = Boolean(variable.multi || variable.includeAll);
  const all = Boolean(variable.includeAll) && (current.length === 0 || current.includes(ALL));
  const known = options.filter((option) => current.includes(option.value));
  const taken = all ? options : known.length > 0 ? known : options.slice(0, 1);
  if (inAddress.length > 0 && !all && known.length < inAddress.length) {
    problem(`variable ${variable.name}`, `has no value ${inAddress.join(', ')}`);
  }
  return {
    values: taken.map((option) => option.value),
    texts: taken.map((option) => option.text),
    all,
    pattern: variable.allValue ?? undefined,
    multi,
  };
}
