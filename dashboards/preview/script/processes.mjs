// Background processes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Timeout for any wait, even on a busy machine. */
export const LIMIT = 600_000;

const running = new Set();

/** Starts a program that runs until it is stopped. */
export function start(program, args, options = {}) {
  // its own process group, so that Ctrl-C does not reach it, only `stopAll` does
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    ...options,
  });
  const started = { program, child, said: '' };
  const hear = (data) => (started.said = (started.said + data).slice(-10_000));
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  running.add(started);
  child.on('error', (error) => {
    hear(error);
    // a program that failed to start never exits
    if (child.pid === undefined) {
      running.delete(started);
    }
  });
  child.on('exit', () => running.delete(started));
  return started;
}

/** Terminates a program. */
export async function stop({ child }) {
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await once(child, 'exit');
    clearTimeout(killer);
  }
}

export async function stopAll() {
  await Promise.all([...running].map(stop));
}

/** Runs a program to completion, and returns the end of its output. */
export async function finish(program, args, options = {}) {
  const started = start(program, args, options);
  const [code] = await once(started.child, 'exit');
  if (code !== 0) {
    throw new Error(`${program} exited with ${code}:\n${started.said}`);
  }
  return started.said;
}

/** Waits until `condition` returns a value, and returns it; fails after a timeout. */
export async function until(what, condition, { limit = LIMIT, of } = {}) {
  const end = Date.now() + limit;
  for (;;) {
    const met = await condition().catch(() => undefined);
    if (met) {
      return met;
    }
    if (of && (of.child.exitCode !== null || of.child.signalCode !== null)) {
      throw new Error(`${of.program} exited:\n${of.said}`);
    }
    if (Date.now() > end) {
      throw new Error(`timed out after ${limit / 1000} s: ${what}\n${of?.said ?? ''}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Waits until a URL responds successfully. */
export function answers(url, of) {
  return until(`${url} answers`, async () => (await fetch(url)).ok, { of });
}

/** Returns distinct free ports. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
