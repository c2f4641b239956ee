// Prometheus' HTTP API.

export interface Series {
  metric: Record<string, string>;
  value?: [number, string];
  values?: Array<[number, string]>;
}

export class Prometheus {
  constructor(private readonly address: string) {}

  async query(query: string, time: number): Promise<Series[]> {
    return (await this.get('query', { query, time })).result;
  }

  async queryRange(query: string, start: number, end: number, step: number): Promise<Series[]> {
    return (await this.get('query_range', { query, start, end, step })).result;
  }

  async labelValues(label: string, start: number, end: number, match?: string): Promise<string[]> {
    const selector: Record<string, string> = match ? { 'match[]': match } : {};
    return this.get(`label/${label}/values`, { start, end, ...selector });
  }

  private async get(path: string, parameters: Record<string, string | number>): Promise<any> {
    // POST, since queries can exceed the maximum URL length
    const texts = Object.entries(parameters).map(([name, value]) => [name, String(value)]);
    const form = new URLSearchParams(texts);
    const url = `${this.address}/api/v1/${path}`;
    const answer = path.startsWith('label/')
      ? await fetch(`${url}?${form}`)
      : await fetch(url, { method: 'POST', body: form });
    const body = await answer.json();
    if (body.status !== 'success') {
      throw new Error(body.error);
    }
    return body.data;
  }
}
