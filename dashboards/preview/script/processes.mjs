// Programs that run in the background, and waiting for them.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** How long anything may take, on a machine that has much else to do. */
export const LIMIT = 180_000;

const running = new Set();

/** Starts a program that is to run until it is stopped. */
export function start(program, args, options = {}) {
  // a group of its own, so that Ctrl-C reaches it only through `stopAll`
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
    // what could not be started never ends
    if (child.pid === undefined) {
      running.delete(started);
    }
  });
  child.on('exit', () => running.delete(started));
  return started;
}

/** Lets one end in order. */
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

/** Runs a program to its end. */
export async function finish(program, args, options = {}) {
  const started = start(program, args, options);
  const [code] = await once(started.child, 'exit');
  if (code !== 0) {
    throw new Error(`${program} ended with ${code}:\n${started.said}`);
  }
}

/** Waits until a condition holds: tells what it is given then, or fails after a while. */
export async function until(what, condition, { limit = LIMIT, of } = {}) {
  const end = Date.now() + limit;
  for (;;) {
    const met = await condition().catch(() => undefined);
    if (met) {
      return met;
    }
    if (of && (of.child.exitCode !== null || of.child.signalCode !== null)) {
      throw new Error(`${of.program} has ended:\n${of.said}`);
    }
    if (Date.now() > end) {
      throw new Error(`waited ${limit / 1000} s in vain: ${what}\n${of?.said ?? ''}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Waits until an address answers well. */
export function answers(url, of) {
  return until(`${url} answers`, async () => (await fetch(url)).ok, { of });
}

/** Ports that nobody listens on, all of them different. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
