// Status of the page for the script that checks it.

export interface Report {
  /** Errors. */
  problems: string[];
  /** Panels without data. */
  empty: string[];
  /** Queries without data in panels that have some. */
  emptyQueries: string[];
  /** Whether rendering is complete. */
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
