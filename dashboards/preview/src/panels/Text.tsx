// Text panels, with Grafana's Markdown renderer.

import { renderTextPanelMarkdown } from '@grafana/data';
import type { View } from './view';

export function Text({ panel, width, height, replaceVariables }: View) {
  const { mode, content = '' } = panel.options;
  const text = replaceVariables(content);
  const html = mode === 'html' ? text : renderTextPanelMarkdown(text);
  return (
    <div
      className="markdown-html"
      style={{ width, height, overflow: 'hidden' }}
      dangerouslySetInnerHTML={{ __html: html }}
    />
  );
}
