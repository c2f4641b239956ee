// Starts everything that the dashboards need, takes screenshots, and stops it again.

import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build, preview } from 'vite';
import { handOver, past } from './past.mjs';
import { crowd, measure } from './crowd.mjs';
import { pictures } from './pictures.mjs';
import { answers, freePorts, LIMIT, start, stop, stopAll, until } from './processes.mjs';
import { get, prometheus } from './prometheus.mjs';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const repository = resolve(here, '../..');
const alerts = join(repository, 'alerts');

/** Interval between polls in the running demo, in seconds. */
const POLLS = 120;

/** A day for the graphs, plus the lookback of their first points. */
const HOURS = 26;

/** Other parameters with which dashboards are shown, with endings of the names of the pictures. */
const MORE = { 'campaigns-marketing': { '-month': { from: 'now-30d', 'var-result': 'deliveries' } } };

/** Interval of scrapes and rule evaluations of the running demo, in seconds. */
const INTERVAL = 10;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    keep: { type: 'boolean', default: false },
    looks: { type: 'boolean', default: false },
    out: { type: 'string' },
    copies: { type: 'string', default: '1' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
});

const copies = Number(options.copies);
/** Interval between polls in the history, in seconds. Of many campaigns, Prometheus is told three times. */
const STEP = copies > 1 ? HOURS * 1800 : POLLS;

const out = options.out
  ? path(options.out)
  : await mkdtemp(join(tmpdir(), 'campaign_dashboards_'));
const folder = await mkdtemp(join(tmpdir(), 'campaign_preview_'));
// so that temporary files of the programs are removed, too
process.env.TMPDIR = folder;
let page;
let ending = false;

/** Stops everything. Errors caused by stopping are ignored. */
async function end(code) {
  if (ending) {
    return;
  }
  ending = true;
  await page?.close();
  await stopAll();
  await rm(folder, { recursive: true, force: true });
  process.exit(code);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => end(130));
}

const began = Date.now();
function say(what) {
  console.log(`${((Date.now() - began) / 1000).toFixed(0).padStart(4)} s  ${what}`);
}

/** Resolves a path relative to the directory from which `run` was called. */
function path(given) {
  return resolve(process.env.INIT_CWD ?? '.', given);
}

/** Returns the requested dashboards, or all. */
async function dashboards() {
  const all = await readdir(dirname(here));
  const own = all.filter((file) => file.endsWith('.json')).map((file) => join(dirname(here), file));
  const given = positionals.map(path);
  const read = async (file) => {
    const { uid, time } = JSON.parse(await readFile(file, 'utf8'));
    return { uid, file, name: basename(file, '.json'), time };
  };
  return Promise.all((given.length > 0 ? given : own).map(read));
}

/** Builds the programs, and returns their paths by name. */
function programs() {
  const packages = ['--package', 'campaign_exporter', '--package', 'xtask'];
  const messages = execFileSync(
    'cargo',
    ['build', '--locked', '--quiet', '--message-format=json-render-diagnostics', ...packages],
    { cwd: repository, encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const built = messages.trim().split('\n').map((line) => JSON.parse(line));
  const executables = built.filter(({ executable }) => executable);
  return Object.fromEntries(executables.map(({ target, executable }) => [target.name, executable]));
}

/** Copies the rules without the intervals of groups, so that no group has to be waited for. */
async function rules() {
  const copied = join(folder, 'rules');
  await mkdir(copied);
  for (const file of (await readdir(alerts)).filter((file) => file.endsWith('.yml'))) {
    const text = await readFile(join(alerts, file), 'utf8');
    await writeFile(join(copied, file), text.replace(/^ +interval: .*\n/gm, ''));
  }
  return [join(copied, '*.yml')];
}

/** Starts the programs, with history. */
async function stage({ campaign_exporter, xtask }) {
  const [exporterPort, prometheusPort, alertmanagerPort, pastPort] = await freePorts(4);
  const listening = `127.0.0.1:${exporterPort}`;
  say('starting the demo, Prometheus, and Alertmanager');
  const names = execFileSync(xtask, ['shown'], { encoding: 'utf8' }).trim().split('\n');
  const providers = names.flatMap((name) => ['--provider', name]);
  const ruleFiles = await rules();
  const exporter = start(campaign_exporter, [
    ...['demo', '--poll-interval', `${POLLS}s`, `--web.listen-address=${listening}`, ...providers],
  ]);
  await answers(`http://${listening}/-/ready`, exporter);
  const instance = copies > 1 ? await crowd(listening, copies) : listening;
  const live = {
    folder: join(folder, 'live'),
    port: prometheusPort,
    interval: `${INTERVAL}s`,
    // samples of the history count until the next one
    lookback: copies > 1 ? `${STEP + 300}s` : '5m',
    scraped: instance,
  };
  const alertmanager = await startAlertmanager(alertmanagerPort);
  // without rules until the history is loaded; otherwise, alerts would become active only now
  const scraper = await prometheus(live);

  // the history ends when the demo starts, so there is no gap
  const earlier = join(folder, 'past');
  const end = await past({
    instance,
    ruleFiles,
    say,
    folder: earlier,
    port: pastPort,
    program: xtask,
    providers,
    hours: HOURS,
    step: STEP,
    copies,
  });

  say('restarting Prometheus with the history');
  await stop(scraper);
  await handOver(earlier, live.folder);
  let server = await prometheus({ ...live, ruleFiles, alertmanager });
  const started = Date.now();
  await until('Prometheus scrapes the demo', async () => {
    const { activeTargets } = await get(server.url, 'targets');
    return activeTargets.length > 0 && activeTargets.every(({ health }) => health === 'up');
  });
  // one evaluation each; alerts restore their state in the second one
  const evaluated = async () => {
    const { groups } = await get(server.url, 'rules');
    return groups.every(({ interval, lastEvaluation }) => {
      return Date.parse(lastEvaluation) > started + 3 * interval * 1000;
    });
  };
  await until('all rules are evaluated', evaluated, { limit: 2 * LIMIT });
  if (copies > 1) {
    // scrapes and rules would slow the measured queries down
    await stop(server);
    server = await prometheus({ ...live, interval: '1h', scraped: undefined });
  }
  return { exporter: `http://${listening}`, prometheus: server.url, alertmanager, end };
}

async function startAlertmanager(port) {
  const config = join(alerts, 'alertmanager/alertmanager.yml');
  const there = await readFile(config).catch(() => undefined);
  if (!there) {
    return undefined;
  }
  const address = `127.0.0.1:${port}`;
  const started = start('prometheus-alertmanager', [
    `--config.file=${config}`,
    `--storage.path=${join(folder, 'alertmanager')}`,
    `--web.listen-address=${address}`,
    // no clustering
    '--cluster.listen-address=',
  ]);
  await answers(`http://${address}/-/ready`, started);
  return address;
}

/** Builds the page, which shows any of the dashboards. */
async function serve(dashboards, addresses) {
  // not in the source directory, since another preview may be running
  const outDir = join(folder, 'site');
  const site = { root: here, logLevel: 'error', build: { outDir } };
  await build(site);
  await mkdir(join(outDir, 'dashboards'));
  for (const { uid, file } of dashboards) {
    await copyFile(file, join(outDir, 'dashboards', `${uid}.json`));
  }
  const settings = { prometheus: addresses.prometheus, scrapeInterval: `${POLLS}s` };
  await writeFile(join(outDir, 'settings.json'), JSON.stringify(settings));
  const [port] = await freePorts(1);
  page = await preview({ ...site, preview: { host: '127.0.0.1', port, strictPort: true } });
  return `http://127.0.0.1:${port}`;
}

/** Returns URL parameters for a dashboard; the campaign dashboard needs campaigns, the others need none. */
async function address(site, uid, prometheusUrl) {
  if (uid !== 'campaigns-campaign') {
    return `${site}/d/${uid}`;
  }
  // an interesting campaign: poor delivery, not too recent, and of a provider that reports much
  const sent = 'campaign_attempted and campaign_cost_credits';
  const age = 'time() - campaign_last_sent_timestamp_seconds';
  const bad = `${sent} and campaign_delivery_ratio < 0.8 and ${age} > 10800 < 64800`;
  for (const campaigns of [bad, sent]) {
    const { result } = await get(prometheusUrl, 'query', { query: `topk(1, ${campaigns})` });
    if (result.length > 0) {
      const { provider, account, campaign_id: campaign } = result[0].metric;
      const chosen = Object.entries({ provider, account, campaign });
      const parameters = chosen.map(([name, value]) => [`var-${name}`, value]);
      return `${site}/d/${uid}?${new URLSearchParams(parameters)}`;
    }
  }
  throw new Error('no campaign has a cost');
}

/** Returns a time range such as now-24h as it was, in milliseconds. */
function rangeUntil({ from }, end) {
  const [, count, unit] = /^now-(\d+)([hd])$/.exec(from);
  const length = Number(count) * { h: 3600, d: 86400 }[unit];
  return { from: (end - length) * 1000, to: end * 1000 };
}

try {
  const shown = await dashboards();
  say('building');
  const addresses = await stage(programs());
  const site = await serve(shown, addresses);
  const pages = [];
  for (const { name, uid, time } of shown) {
    const url = new URL(await address(site, uid, addresses.prometheus));
    if (copies > 1) {
      pages.push({ name, url: `${url}` });
      continue;
    }
    for (const [suffix, more] of Object.entries({ '': time, ...MORE[uid] })) {
      // a demo that has just started does not know what is usual: show the moment before
      const parameters = { ...more, ...rangeUntil(more, addresses.end) };
      for (const [name, value] of Object.entries(parameters)) {
        url.searchParams.set(name, value);
      }
      pages.push({ name: `${name}${suffix}`, url: `${url}` });
    }
  }
  say('taking screenshots');
  const { problems, queries } = await pictures(pages, out, options.chromium, options.looks);
  if (copies > 1) {
    say('measuring queries');
    problems.push(...(await measure(queries)));
  }
  for (const problem of problems) {
    console.error(`  ${problem}`);
  }
  say(problems.length === 0 ? `screenshots are in ${out}` : `${problems.length} problems`);
  if (!options.keep) {
    await end(problems.length === 0 ? 0 : 1);
  }
  console.log(`
  exporter      ${addresses.exporter}
  Prometheus    ${addresses.prometheus}
  Alertmanager  ${addresses.alertmanager ? `http://${addresses.alertmanager}` : '(no configuration)'}
${pages.map(({ url }) => `  dashboard     ${url}`).join('\n')}

  Press Ctrl-C to stop.`);
} catch (error) {
  if (!ending) {
    console.error(error.message);
  }
  await end(1);
}
