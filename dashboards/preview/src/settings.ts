// Where the preview reads: `settings.json`, which `run` writes beside the page, and the address,
// which has the form of Grafana's: /d/UID?var-NAME=VALUE&from=now-6h&to=now

export interface Settings {
  /** The address of Prometheus. */
  prometheus: string;
  /** How often it scrapes, as a data source's settings tell Grafana. */
  scrapeInterval: string;
}

export async function settings(): Promise<Settings> {
  const answer = await fetch('/settings.json');
  return answer.json();
}

/** The uid of the dashboard in the address. */
export function uid(): string | undefined {
  return /^\/d\/([^/]+)/.exec(location.pathname)?.[1];
}

const parameters = new URLSearchParams(location.search);

/** What the address says of a variable. */
export function chosen(variable: string): string[] {
  return parameters.getAll(`var-${variable}`);
}

/** What the address says of the time range. */
export function times(): { from?: string; to?: string } {
  const text = (name: string) => parameters.get(name) ?? undefined;
  return { from: text('from'), to: text('to') };
}
