// A past for Prometheus: what it would have scraped, and what its rules would have made of that.

import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finish, stop } from './processes.mjs';
import { prometheus, rules } from './prometheus.mjs';

/** What blocks are called. */
const ULID = /^[0-9A-Z]{26}$/;

/**
 * Makes the blocks of a Prometheus that ends now, in `folder`. `program` writes the samples, `step` in
 * seconds is the time between them.
 */
export async function past({ folder, port, program, instance, hours, step, ruleFiles, say }) {
  const file = join(folder, 'past.om');
  const data = join(folder, 'data');
  const end = Math.floor(Date.now() / 1000);
  const begin = end - hours * 3600;
  await mkdir(folder);
  say('reading the providers at past moments');
  const length = ['--length', `${hours}h`, '--step', `${step}s`];
  await finish(program, [...length, '--instance', instance, file]);
  say('making blocks of that');
  await finish('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', '--quiet', file, data]);

  // a rule reads what others have recorded, so these come first; Prometheus reads new blocks at once
  // when it starts
  const options = { folder, port, ruleFiles, interval: '1h' };
  let server = await prometheus(options);
  const all = await rules(server.url);
  const alerts = all.filter((rule) => rule.type === 'alerting');
  const evaluate = async (records) => {
    say(`evaluating ${records.length} rules`);
    const groups = [{ name: 'past', rules: records }];
    const rulesFile = join(folder, 'rules.yml');
    await writeFile(rulesFile, JSON.stringify({ groups }));
    await finish('promtool', [
      ...['tsdb', 'create-blocks-from', 'rules', `--start=${begin}`, `--end=${end}`],
      ...[`--eval-interval=${step}s`, `--url=${server.url}`, `--output-dir=${data}`, rulesFile],
    ]);
    await stop(server);
    server = await prometheus(options);
  };
  for (const level of levels(all)) {
    await evaluate(level);
  }
  await evaluate(alerts.map((alert) => firing(alert, step)));
  await evaluate(alerts.map((alert) => since(alert, step)));
  await stop(server);
}

/** Hands the blocks to a Prometheus that does not run. */
export async function handOver(from, to) {
  const blocks = await readdir(join(from, 'data'), { withFileTypes: true });
  for (const { name } of blocks.filter(({ name }) => ULID.test(name))) {
    await rename(join(from, 'data', name), join(to, 'data', name));
  }
}

/** Recording rules by how many others they build on. */
function levels(all) {
  const recording = all.filter((rule) => rule.type === 'recording');
  const names = new Set(recording.map((rule) => rule.name));
  const sources = ({ name, query }) =>
    (query.match(/[a-zA-Z_:][\w:]*/g) ?? []).filter((word) => names.has(word) && word !== name);
  const known = new Map();
  const levelOf = (name) => {
    if (!known.has(name)) {
      const own = recording.filter((rule) => rule.name === name);
      known.set(name, 1 + Math.max(-1, ...own.flatMap(sources).map(levelOf)));
    }
    return known.get(name);
  };
  const found = [];
  for (const rule of recording) {
    const { name: record, query: expr, labels } = rule;
    (found[levelOf(record)] ??= []).push({ record, expr, labels });
  }
  return found;
}

/** What Prometheus records while an alert fires. */
function firing({ name, query, duration, labels }, step) {
  const points = Math.max(Math.floor(duration / step), 1);
  return {
    record: 'ALERTS',
    expr: `(count_over_time((${query})[${points * step}s:${step}s]) >= ${points}) ^ 0`,
    labels: { ...labels, alertname: name, alertstate: 'firing' },
  };
}

/**
 * Since when an alert has held, from which Prometheus goes on with it when it starts. One that came
 * and went within the day is said to be as young as the time that it fired.
 */
function since({ name, duration, labels }, step) {
  const matchers = Object.entries({ ...labels, alertname: name, alertstate: 'firing' });
  const fired = `ALERTS{${matchers.map(([label, value]) => `${label}="${value}"`).join(', ')}}`;
  const points = `sum without (alertstate) (count_over_time(${fired}[1d]) and ${fired})`;
  return {
    record: 'ALERTS_FOR_STATE',
    expr: `time() - ${duration} - ${step} * ${points}`,
    labels: { ...labels, alertname: name },
  };
}
