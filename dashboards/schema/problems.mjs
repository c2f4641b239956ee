// Validates dashboards against Grafana's types.

import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const ajv = new Ajv({ allErrors: true, strict: false });

/** Returns a function that returns the problems of a dashboard, one line each, by the types in a file. */
export function checker(path) {
  // names of Grafana's types are not unique, so none is exposed
  const schema = createGenerator({ path, type: 'Checked', expose: 'none', skipTypeCheck: true }).createSchema('Checked');
  const { dashboard, panels } = schema.definitions.Checked.properties;
  const isDashboard = ajv.compile(dashboard);
  const isPanel = Object.fromEntries(
    Object.entries(panels.properties).map(([kind, panel]) => [kind, ajv.compile(panel)])
  );
  return (json) => {
    const found = [];
    check(isDashboard, json, 'dashboard', found);
    for (const panel of json.panels) {
      const place = `${panel.type} "${panel.title}"`;
      if (isPanel[panel.type]) {
        check(isPanel[panel.type], withoutPaths(panel), place, found);
      } else {
        found.push(`${place}: a panel of this kind is not expected`);
      }
    }
    return found;
  };
}

/** Returns the problems of a dashboard, one line each. */
export const problems = checker(new URL('dashboard.ts', import.meta.url).pathname);

function check(isValid, json, place, found) {
  if (isValid(json)) return;
  for (const { instancePath, message, params } of isValid.errors) {
    found.push(`${place}: ${instancePath} ${message} ${JSON.stringify(params)}`);
  }
}

/** Converts override paths such as "custom.width" to objects with the structure of defaults. */
function withoutPaths(panel) {
  const overrides = panel.fieldConfig?.overrides;
  if (!overrides) return panel;
  const asObjects = overrides.map((override) => ({ ...override, properties: together(override.properties) }));
  return { ...panel, fieldConfig: { ...panel.fieldConfig, overrides: asObjects } };
}

function together(properties) {
  const object = {};
  for (const { id, value } of properties) {
    const custom = id.match(/^custom\.(.*)$/);
    if (custom) {
      object.custom = { ...object.custom, [custom[1]]: value };
    } else {
      object[id] = value;
    }
  }
  return object;
}
