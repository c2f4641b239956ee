// A real Prometheus with the rules of this repository.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { answers, start } from './processes.mjs';

/**
 * Starts one in a folder. `scraped` is what it scrapes, `ruleFiles` what it evaluates, `alertmanager`
 * whom it tells: if anything at all.
 */
export async function prometheus({
  folder,
  port,
  interval,
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
  // JSON is YAML, too
  await writeFile(file, JSON.stringify(config, null, 2));
  const address = `127.0.0.1:${port}`;
  const started = start('prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    '--storage.tsdb.retention.time=60d',
    `--web.listen-address=${address}`,
    // alerts go on where those of the past have ended, however short they have to hold
    '--rules.alert.for-grace-period=0s',
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

/** All rules. */
export async function rules(url) {
  const { groups } = await get(url, 'rules');
  return groups.flatMap((group) => group.rules);
}
