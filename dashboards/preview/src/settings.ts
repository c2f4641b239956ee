// Settings from `settings.json`, which the script writes next to the page, and from the URL, which has
// Grafana's format:
// /d/UID?var-NAME=VALUE&from=now-6h&to=now&theme=light

export interface Settings {
  /** URL of Prometheus. */
  prometheus: string;
  /** Scrape interval, as in the settings of a data source. */
  scrapeInterval: string;
}

export async function settings(): Promise<Settings> {
  const answer = await fetch('/settings.json');
  return answer.json();
}

/** Returns the dashboard UID from the URL. */
export function uid(): string | undefined {
  return /^\/d\/([^/]+)/.exec(location.pathname)?.[1];
}

const parameters = new URLSearchParams(location.search);

/** Returns the values of a variable from the URL. */
export function chosen(variable: string): string[] {
  return parameters.getAll(`var-${variable}`);
}

/** Returns the time range from the URL. */
export function times(): { from?: string; to?: string } {
  const text = (name: string) => parameters.get(name) ?? undefined;
  return { from: text('from'), to: text('to') };
}

/** Returns the theme from the URL. */
export function mode(): 'dark' | 'light' {
  return parameters.get('theme') === 'light' ? 'light' : 'dark';
}
