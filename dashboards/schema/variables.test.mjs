// The campaign variable shows what Grafana gets from Prometheus, whatever campaigns are called.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

const file = new URL('../campaigns-campaign.json', import.meta.url);
const { list } = JSON.parse(readFileSync(file, 'utf8')).templating;
const { regex } = list.find(({ name }) => name === 'campaign');

/** A regex as Grafana reads it: between slashes, with the flags g, i, m and y at most. */
function pattern(text) {
  const [, source, flags] = text.match(/^\/(.*?)\/(g?i?m?y?)$/);
  return new RegExp(source, flags);
}

/** What Grafana makes of a series for query_result(): nothing is escaped. */
function result(labels) {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return `{${pairs.join(',')}} 1 1764000000000`;
}

const names = {
  'a plain name': 'Spring Sale · spring-us',
  'no name': ' · spring-us',
  'what ends a label': 'A "quoted" name",title="x" · spring-us',
  'what ends a series': 'x"} 1 1764000000000 · spring-us',
  'more than one line': 'one\ntwo\r\n\tthree · spring-us',
  'other alphabets': 'Frühlingsaktion 🎁 \u2028 \u0001 · spring-us',
};

for (const [what, title] of Object.entries(names)) {
  test(`${what} is shown and its id is carried`, () => {
    const { groups } = result({ campaign_id: 'g90ea686-239f', title }).match(pattern(regex));
    assert.deepEqual({ ...groups }, { value: 'g90ea686-239f', text: title });
  });
}
