// The dashboards match Grafana's types, and mistakes are detected.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';

import { problems } from './problems.mjs';

const folder = new URL('../', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));

function read(file) {
  return JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
}

test('there are four dashboards', () => {
  assert.equal(files.length, 4);
});

for (const file of files) {
  test(`${file} matches Grafana's types`, () => {
    assert.deepEqual(problems(read(file)), []);
  });
}

function firstOf(dashboard, kind) {
  const panel = dashboard.panels.find(({ type }) => type === kind);
  assert.ok(panel, `no ${kind}`);
  return panel;
}

/** Mistakes, each with a part of the expected problem. */
const mistakes = {
  'a misspelled dashboard key': [(d) => (d.refreshh = '1m'), 'refreshh'],
  'a wrong type in a dashboard': [(d) => (d.editable = 'no'), '/editable must be boolean'],
  'a variable without a label': [(d) => delete d.templating.list[1].label, "required property 'label'"],
  'a variable that is never refreshed by a number': [(d) => (d.templating.list[1].refresh = 'always'), '/refresh'],
  'an annotation with an unknown key': [(d) => (d.annotations.list[1].useValueAsTime = 'on'), 'useValueAsTime'],
  'a link of an unknown kind': [(d) => (d.links[0].type = 'dashboard'), '/links/0/type'],
  'a panel that Grafana no longer has': [(d) => (firstOf(d, 'stat').type = 'graph'), 'not expected'],
  'an option that a stat does not have': [(d) => (firstOf(d, 'stat').options.fontSize = 12), 'fontSize'],
  'a value that an option does not take': [(d) => (firstOf(d, 'stat').options.colorMode = 'red'), '/options/colorMode'],
  'an unknown drawing style': [
    (d) => (firstOf(d, 'timeseries').fieldConfig.defaults.custom.drawStyle = 'curve'),
    '/custom/drawStyle',
  ],
  'a removed table option': [(d) => (firstOf(d, 'table').options.footer = { show: false }), 'footer'],
  'an override of an unknown property': [
    (d) => firstOf(d, 'table').fieldConfig.overrides[0].properties.push({ id: 'custom.widht', value: 100 }),
    'widht',
  ],
  'an override of the wrong type': [
    (d) => firstOf(d, 'table').fieldConfig.overrides[0].properties.push({ id: 'unit', value: 1 }),
    '/properties/unit must be string',
  ],
  'a threshold that is no number': [
    (d) => (firstOf(d, 'stat').fieldConfig.defaults.thresholds = { mode: 'absolute', steps: [{}, { color: 'red', value: '0.9' }] }),
    '/thresholds/steps/1/value',
  ],
  'a query with an unknown key': [(d) => (firstOf(d, 'stat').targets[0].legend = 'x'), 'legend'],
  'a fixed data source': [(d) => (firstOf(d, 'stat').datasource.uid = 'prometheus'), '/datasource/uid'],
  'a transformation that is not known': [(d) => (firstOf(d, 'table').transformations[0].id = 'mergee'), '/transformations/0'],
  'a data link without an address': [
    (d) => (firstOf(d, 'stat').fieldConfig.defaults.links = [{ title: 'x', targetBlank: false }]),
    "required property 'url'",
  ],
  'a panel without a description': [(d) => delete firstOf(d, 'text').description, "required property 'description'"],
};

for (const [mistake, [make, told]] of Object.entries(mistakes)) {
  test(`${mistake} is detected`, () => {
    const dashboard = read('campaigns-overview.json');
    make(dashboard);
    const found = problems(dashboard);
    assert.ok(
      found.some((line) => line.includes(told)),
      found.join('\n')
    );
  });
}
