// `$name`, `${name:format}`, and `[[name]]` in queries, titles, and links.

import { type DataFrame, type Field, getFieldDisplayName, type ScopedVars } from '@grafana/data';

/** Value of a variable. */
export interface Value {
  values: string[];
  texts: string[];
  /** All is selected; `pattern`, if set, then replaces the values in queries. */
  all: boolean;
  pattern?: string;
  /** Allows several values, so it is formatted for a regular expression. */
  multi: boolean;
}

export type Values = Map<string, Value>;

const REFERENCE = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{([^}:]+)(?::([^}]+))?\}/g;

/** Replaces the variables that `look` finds, and keeps all others. */
function replaced(
  text: string,
  look: (name: string, format: string | undefined) => string | undefined,
): string {
  return text.replace(REFERENCE, (whole, bare, square, squareFormat, braced, bracedFormat) => {
    const name = bare ?? square ?? braced;
    return look(name, squareFormat ?? bracedFormat) ?? whole;
  });
}

/** Interpolates a PromQL expression, a matcher, or a variable query. */
export function query(text: string, values: Values, builtIn: Record<string, string> = {}): string {
  return replaced(text, (name, format) => {
    const value = values.get(name);
    return value ? inQuery(value, format) : builtIn[name];
  });
}

function inQuery(value: Value, format?: string): string {
  if (value.all && value.pattern !== undefined) {
    return value.pattern;
  }
  if (format === 'raw' || !value.multi) {
    return value.values.join(',');
  }
  const escaped = value.values.map((each) =>
    each.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&'),
  );
  return escaped.length === 1 ? escaped[0] : `(${escaped.join('|')})`;
}

/** Interpolates a title or text. */
export function shown(text: string, values: Values): string {
  return replaced(text, (name) => {
    const value = values.get(name);
    return value && (value.all ? 'All' : value.texts.join(' + '));
  });
}

/** Formats the values as URL parameters. */
export function parameters(name: string, value: Value): string {
  const values = value.all ? ['$__all'] : value.values;
  return values.map((each) => `var-${name}=${encodeURIComponent(each)}`).join('&');
}

/** Callback that interpolates titles and links of fields. */
export function forFields(values: Values, timeParameters: string) {
  return (text: string, scope?: ScopedVars): string =>
    replaced(text, (name, format) => {
      const value = values.get(name);
      if (value) {
        return format === 'queryparam' ? parameters(name, value) : value.values.join(',');
      }
      if (name === '__url_time_range') {
        return timeParameters;
      }
      const plain = ofField(name, scope);
      return format === 'percentencode' && plain !== undefined ? encodeURIComponent(plain) : plain;
    });
}

/** Resolves `__value.raw`, `__field.labels.x`, `__data.fields.x`, `__data.fields["x"]`, and similar. */
function ofField(name: string, scope?: ScopedVars): string | undefined {
  const context = scope?.__dataContext?.value as
    { frame: DataFrame; field: Field; rowIndex?: number; calculatedValue?: any } | undefined;
  if (!context) {
    return undefined;
  }
  const [place, ...path] = name.replace(/\[["']?(.*?)["']?\]/g, '.$1').split('.');
  const { frame, field, rowIndex } = context;
  switch (place) {
    case '__field':
      return path[0] === 'labels'
        ? (field.labels?.[path[1]] ?? '')
        : getFieldDisplayName(field, frame);
    case '__series':
      return frame.name ?? '';
    case '__value':
      return String(context.calculatedValue?.numeric ?? field.values[rowIndex ?? 0] ?? '');
    case '__data': {
      const known = frame.fields.find((each) =>
        [each.name, getFieldDisplayName(each, frame)].includes(path[1]),
      );
      return known && String(known.values[rowIndex ?? 0] ?? '');
    }
    default:
      return undefined;
  }
}
