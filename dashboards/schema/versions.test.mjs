// Older versions can import the dashboards: they know every key, or do without it.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

import { checker } from './problems.mjs';

const here = new URL('./', import.meta.url);
const dashboards = new URL('../', here);
const files = readdirSync(dashboards).filter((name) => name.endsWith('.json'));

/** Keys that a version does not know, and what it does instead. */
const UNKNOWN = {
  11: {
    preload: 'loads with the rest',
    percentChangeColorMode: 'colors no change in percent, which no panel shows',
    legend: 'a bar gauge has no legend',
    hideFrom: 'hides the column by custom.hidden',
  },
  12: { hideFrom: 'hides the column by custom.hidden' },
};

/** Writes the types of our dashboards for a version, whose package has another layout, and returns a checker. */
function checkerOf(major) {
  const raw = new URL(`node_modules/@grafana/schema-${major}/dist/esm/raw/`, here);
  const types = readFileSync(new URL('dashboard.ts', here), 'utf8').replace(
    /\.\/node_modules\/@grafana\/schema\/dist\/types\/raw\/(.*)\/types\.gen/g,
    (_, path) => {
      const folder = new URL(`${path}/`, raw);
      const name = readdirSync(folder).find((name) => name.endsWith('_types.gen.d.ts'));
      return new URL(name.replace(/\.d\.ts$/, ''), folder).pathname;
    }
  );
  const folder = mkdtempSync(join(tmpdir(), 'dashboards-'));
  try {
    const file = join(folder, 'dashboard.ts');
    writeFileSync(file, types);
    return checker(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const [major, unknown] of Object.entries(UNKNOWN)) {
  test(`Grafana ${major} imports the dashboards`, () => {
    const problems = checkerOf(major);
    const of = (name) => problems(JSON.parse(readFileSync(new URL(name, dashboards), 'utf8')));
    const isKnown = (line) => !Object.keys(unknown).some((key) => line.endsWith(`{"additionalProperty":"${key}"}`));
    assert.deepEqual(files.flatMap(of).filter(isKnown), []);
  });
}
