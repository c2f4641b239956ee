// Renders the dashboard named in the URL.

// Grafana's font; text is wider without it
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import { ThemeContext } from '@grafana/data';
import { GlobalStyles } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { theme } from './fields';
import { load } from './load';
import { Page } from './Page';
import { problem, report } from './report';

const root = document.getElementById('root')!;
document.body.style.cssText = `margin: 0; background: ${theme.colors.background.canvas}`;

try {
  const loaded = await load();
  document.title = loaded.dashboard.title;
  createRoot(root).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Page {...loaded} />
    </ThemeContext.Provider>,
  );
} catch (error) {
  problem('page', error);
  root.textContent = report.problems.join('\n');
}

// the screenshot script waits for anything rendered later, such as the canvas of a graph
report.done = true;
