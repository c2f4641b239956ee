// Draws the dashboard that the address names.

// the font that Grafana brings along, without which texts are wider
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

// what follows, such as the canvas of a graph, whoever looks at the page waits for
report.done = true;
