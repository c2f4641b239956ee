// Prometheus with the rules of this repository.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { answers, start } from './processes.mjs';

/**
 * Starts Prometheus in a folder. `scraped` are its targets, `ruleFiles` its rules, `alertmanager` is
 * where it sends alerts; all are optional.
 */
export async function prometheus({
  folder,
  port,
  interval,
  lookback = '5m',
  scraped,
  ruleFiles = [],
  alertmanager,
}) {
  const targets = (address) => [{ targets: [address] }];
  const config = {
    global: { scrape_interval: interval, evaluation_interval: interval },
    rule_files: ruleFiles,
    scrape_configs: scraped
      ? [{ job_name: 'campaign_exporter', static_configs: targets(scraped) }]
      : [],
    alerting: { alertmanagers: alertmanager ? [{ static_configs: targets(alertmanager) }] : [] },
  };
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'prometheus.yml');
  // JSON is valid YAML
  await writeFile(file, JSON.stringify(config, null, 2));
  const address = `127.0.0.1:${port}`;
  const started = start('prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    '--storage.tsdb.retention.time=60d',
    `--web.listen-address=${address}`,
    // alerts restore their state, even those with a short `for`
    '--rules.alert.for-grace-period=0s',
    `--query.lookback-delta=${lookback}`,
    '--log.level=warn',
  ]);
  await answers(`http://${address}/-/ready`, started);
  return { ...started, url: `http://${address}` };
}

export async function get(url, path, parameters = {}) {
  const answer = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') {
    throw new Error(`${path}: ${body.error}`);
  }
  return body.data;
}

/** Returns all rules. */
export async function rules(url) {
  const { groups } = await get(url, 'rules');
  return groups.flatMap((group) => group.rules);
}
