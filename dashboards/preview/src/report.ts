// What the script outside reads to judge the page.

export interface Report {
  /** What went wrong. */
  problems: string[];
  /** Panels without data that do not say why. */
  empty: string[];
  /** Queries without data beside others with some. */
  emptyQueries: string[];
  /** Whether everything was drawn. */
  done: boolean;
}

declare global {
  interface Window {
    report: Report;
  }
}

window.report = { problems: [], empty: [], emptyQueries: [], done: false };

export const report = window.report;

export function problem(where: string, error: unknown): void {
  report.problems.push(`${where}: ${error instanceof Error ? error.message : String(error)}`);
}
