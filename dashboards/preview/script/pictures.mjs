// Takes screenshots of dashboards and checks them.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { LIMIT, until } from './processes.mjs';

const BROWSER = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The published pictures: a notebook, Grafana's default theme. */
const PUBLISHED = { width: 1280, theme: 'dark' };

/** How else a dashboard must look good: on a phone, in the light, and to one man in twelve. */
const OTHERS = [
  { width: 1280, theme: 'light' },
  { width: 390, theme: 'dark' },
  { width: 390, theme: 'light' },
  { width: 1280, theme: 'dark', vision: 'deuteranopia' },
];

/**
 * Panels that are empty in the demo: nothing is wrong with its answers, its tokens do not expire, the
 * provider of the displayed campaign reports no reactions, and those that report clicks neither templates
 * nor creators.
 */
const MAY_BE_EMPTY = [
  'Tokens expire in',
  'Decode problems',
  'Mismatched sums',
  'Clicked, read, and replied',
  'By template: ${result:text}',
  'By creator: ${result:text}',
];

/** Frame and header of a panel, in pixels. */
const FRAME = { top: 40, side: 8 };

/** Standard deviation of a color below which a panel counts as empty. */
const UNIFORM = 1;

/** Takes a screenshot of each page, `{ name, url }`, in one look or in all. Returns the problems found, and the queries that
 * the pages sent. */
export async function pictures(pages, folder, executablePath, isEveryLook) {
  await mkdir(folder, { recursive: true });
  const browser = await chromium.launch({ executablePath, args: BROWSER });
  const problems = [];
  const queries = [];
  try {
    const looks = [PUBLISHED, ...(isEveryLook ? OTHERS : [])];
    for (const { name, url, look } of pages.flatMap((page) => looks.map((look) => ({ ...page, look })))) {
      const suffix = look === PUBLISHED ? '' : `-${Object.values(look).join('-')}`;
      const found = await picture(browser, url, look, join(folder, `${name}${suffix}.png`));
      queries.push(...found.queries.map((query) => ({ name, ...query })));
      problems.push(...found.problems.map((problem) => `${name}${suffix}: ${problem}`));
      if (found.emptyQueries.length > 0) {
        console.log(
          `        ${name}: no data, which can be right: ${found.emptyQueries.join(', ')}`,
        );
      }
    }
  } finally {
    await browser.close();
  }
  return { problems, queries };
}

async function picture(browser, url, { width, theme, vision }, file) {
  const page = await browser.newPage({ viewport: { width, height: 1000 } });
  if (vision) {
    const session = await page.context().newCDPSession(page);
    await session.send('Emulation.setEmulatedVisionDeficiency', { type: vision });
  }
  const problems = [];
  const queries = [];
  page.on('request', (request) => {
    if (request.url().includes('/api/v1/')) {
      queries.push({ url: request.url(), method: request.method(), body: request.postData() });
    }
  });
  page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') {
      problems.push(`console: ${message.text()}`);
    }
  });
  page.on('requestfailed', (request) => problems.push(`request: ${request.url()} failed`));
  await page.goto(`${url}${url.includes('?') ? '&' : '?'}theme=${theme}`);
  await page.waitForFunction(() => window.report?.done, undefined, { timeout: LIMIT });
  // the panels are rendered a moment later, without which the page has no height
  await page.waitForSelector('[data-panel]', { timeout: LIMIT });
  // tables render visible rows only
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ width, height });
  // graphs and tables render in several passes
  let last;
  await until('the page is stable', async () => {
    const before = last;
    last = await page.screenshot();
    return before?.equals(last);
  });
  const report = await page.evaluate(() => window.report);
  const empty = report.empty.filter((what) => !MAY_BE_EMPTY.includes(what));
  problems.push(...report.problems, ...empty.map((what) => `empty: ${what}`));
  const panels = await page.$$eval('[data-panel]', (sections) =>
    sections.map((section) => {
      const { x, y, width, height } = section.getBoundingClientRect();
      const { panel, empty } = section.dataset;
      return { panel, empty: empty === 'true', x, y, width, height };
    }),
  );
  for (const panel of panels.filter(({ empty }) => !empty)) {
    const inside = {
      left: Math.round(panel.x) + FRAME.side,
      top: Math.round(panel.y) + FRAME.top,
      width: Math.round(panel.width) - 2 * FRAME.side,
      height: Math.round(panel.height) - FRAME.top - FRAME.side,
    };
    const { channels } = await sharp(last).extract(inside).stats();
    if (Math.max(...channels.map(({ stdev }) => stdev)) < UNIFORM) {
      problems.push(`there is nothing to be seen in ${panel.panel}`);
    }
  }
  // a palette reduces the size to a third
  await sharp(last).png({ palette: true, effort: 10 }).toFile(file);
  await page.close();
  return { problems, queries, emptyQueries: report.emptyQueries };
}
