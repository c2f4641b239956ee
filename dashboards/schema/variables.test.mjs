// The campaign variable works with any campaign name.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

const file = new URL('../campaigns-campaign.json', import.meta.url);
const { list } = JSON.parse(readFileSync(file, 'utf8')).templating;
const { regex } = list.find(({ name }) => name === 'campaign');

/** Parses a regex like Grafana: between slashes, with the flags g, i, m, and y. */
function pattern(text) {
  const [, source, flags] = text.match(/^\/(.*?)\/(g?i?m?y?)$/);
  return new RegExp(source, flags);
}

/** Formats a series like Grafana for query_result(), without escaping. */
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
  test(`${what}: the name is displayed and the id is the value`, () => {
    const { groups } = result({ campaign_id: 'g90ea686-239f', title }).match(pattern(regex));
    assert.deepEqual({ ...groups }, { value: 'g90ea686-239f', text: title });
  });
}
