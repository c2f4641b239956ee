// Backfill for Prometheus: the samples of past scrapes and the results of its rules.

import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { multiply } from './crowd.mjs';
import { finish, stop } from './processes.mjs';
import { prometheus, rules } from './prometheus.mjs';

/** Names of blocks. */
const ULID = /^[0-9A-Z]{26}$/;

/**
 * Creates blocks that end now, in `folder`. `program` writes the samples, `step` seconds apart. Returns when
 * they end, in seconds.
 */
export async function past({
  folder,
  port,
  program,
  providers,
  instance,
  hours,
  step,
  copies,
  ruleFiles,
  say,
}) {
  const file = join(folder, 'past.om');
  const data = join(folder, 'data');
  const end = Math.floor(Date.now() / 1000);
  const begin = end - hours * 3600;
  await mkdir(folder);
  say('polling the providers at past times');
  const length = ['--length', `${hours}h`, '--step', `${step}s`];
  await finish(program, ['history', ...providers, ...length, '--instance', instance, file]);
  if (copies > 1) {
    await writeFile(file, multiply(await readFile(file, 'utf8'), copies));
  }
  say('creating blocks');
  await finish('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', '--quiet', file, data]);

  // rules are evaluated after those they depend on; Prometheus reads new blocks when it starts
  const options = { folder, port, ruleFiles, interval: '1h', lookback: `${step + 300}s` };
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
  return end;
}

/** Moves the blocks to a Prometheus that is not running. */
export async function handOver(from, to) {
  const blocks = await readdir(join(from, 'data'), { withFileTypes: true });
  for (const { name } of blocks.filter(({ name }) => ULID.test(name))) {
    await rename(join(from, 'data', name), join(to, 'data', name));
  }
}

/** Groups recording rules by the depth of their dependencies. */
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

/** Returns the samples that Prometheus records while an alert fires. */
function firing({ name, query, duration, labels }, step) {
  const points = Math.max(Math.floor(duration / step), 1);
  return {
    record: 'ALERTS',
    // without names: an alert can have one condition with a name after another without
    expr: `(count_over_time(((${query}) ^ 0)[${points * step}s:${step}s]) >= ${points}) ^ 0`,
    labels: { ...labels, alertname: name, alertstate: 'firing' },
  };
}

/**
 * Returns since when alerts have been active, which Prometheus restores when it starts. For an alert that
 * came and went within the day, it is derived from the total time that it fired.
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
