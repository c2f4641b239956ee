// Many campaigns, to measure queries: copies of those of the demo.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { performance } from 'node:perf_hooks';

/** What a query may take, in seconds, and answer, in bytes. */
const LIMITS = { seconds: 1, bytes: 1_000_000 };

/** Number of queries that are listed. */
const LISTED = 12;

/** Copies each series of a campaign in an exposition. */
export function multiply(text, copies) {
  const numbers = Array.from({ length: copies }, (_, number) => number);
  const lines = text.split('\n').flatMap((line) =>
    line.includes('campaign_id="')
      ? numbers.map((number) => line.replace('campaign_id="', `campaign_id="${number}-`))
      : line,
  );
  return lines.join('\n');
}

/** Serves the metrics of an exporter with many copies of its campaigns. Returns its address. */
export async function crowd(exporter, copies) {
  const server = createServer(async (_, answer) => {
    const metrics = await fetch(`http://${exporter}/metrics`, { headers: { accept: 'text/plain' } });
    answer.setHeader('content-type', 'text/plain; version=0.0.4');
    answer.end(multiply(await metrics.text(), copies));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${server.address().port}`;
}

/** Sends each query alone. Lists the slowest and the largest, and returns those beyond the limits. */
export async function measure(queries) {
  const measured = [];
  for (const { name, url, method, body } of queries) {
    const headers = body ? { 'content-type': 'application/x-www-form-urlencoded' } : {};
    const began = performance.now();
    const text = await (await fetch(url, { method, body, headers })).text();
    const seconds = (performance.now() - began) / 1000;
    const query = new URLSearchParams(body ?? new URL(url).search).get('query') ?? url;
    measured.push({ name, query, seconds, bytes: text.length });
  }
  const show = ({ name, query, seconds, bytes }) =>
    `${seconds.toFixed(2).padStart(6)} s ${String(bytes).padStart(9)} bytes  ${name}: ${query.slice(0, 150)}`;
  const top = (by) => measured.toSorted((a, b) => b[by] - a[by]).slice(0, LISTED).map(show);
  console.log(`${measured.length} queries, the slowest:`);
  console.log(top('seconds').join('\n'));
  console.log('the largest:');
  console.log(top('bytes').join('\n'));
  return measured
    .filter(({ seconds, bytes }) => seconds > LIMITS.seconds || bytes > LIMITS.bytes)
    .map((each) => `beyond the limits: ${show(each)}`);
}
