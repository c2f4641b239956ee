// A dashboard: header, and panels on the grid.

import { dateTimeFormat } from '@grafana/data';
import { PanelChrome } from '@grafana/ui';
import { Component, type ReactNode } from 'react';
import type { Panel } from './dashboard';
import { theme } from './fields';
import { shown, type Values } from './interpolation';
import { bottom, box, MARGIN, WIDTH } from './layout';
import type { Loaded } from './load';
import { KINDS } from './panels';
import { problem } from './report';

export function Page(loaded: Loaded) {
  const { dashboard, panels, values } = loaded;
  return (
    <div style={{ width: WIDTH, paddingBottom: MARGIN }}>
      <Head {...loaded} />
      <div style={{ position: 'relative', height: bottom(panels.map(({ panel }) => panel)) }}>
        {panels.map((each) => (
          <Framed key={each.panel.id} {...loaded} {...each} title={title(each.panel, values)} />
        ))}
      </div>
      {panels.length === 0 && <p>{dashboard.title} has no panels.</p>}
    </div>
  );
}

function title(panel: Panel, values: Values): string {
  return shown(panel.title ?? '', values);
}

function Head({ dashboard, values, range }: Loaded) {
  const time = (at: number) => dateTimeFormat(at, { format: 'YYYY-MM-DD HH:mm', timeZone: 'utc' });
  const seen = (dashboard.templating?.list ?? []).filter((variable) => variable.hide !== 2);
  return (
    <header style={{ padding: MARGIN, paddingBottom: 8 }}>
      <div style={{ display: 'flex', justifyContent: 'space-between', alignItems: 'baseline' }}>
        <h1 style={{ ...theme.typography.h3, margin: 0 }}>{dashboard.title}</h1>
        <span style={{ color: theme.colors.text.secondary }}>
          {time(range.from.valueOf())} to {time(range.to.valueOf())} UTC
        </span>
      </div>
      <div style={{ display: 'flex', flexWrap: 'wrap', gap: 8, marginTop: 12 }}>
        {seen.map((variable) => {
          const value = values.get(variable.name);
          return (
            <Chosen key={variable.name} name={variable.label ?? variable.name}>
              {value?.all ? 'All' : value?.texts.join(' + ')}
            </Chosen>
          );
        })}
      </div>
    </header>
  );
}

function Chosen({ name, children }: { name: string; children: ReactNode }) {
  const border = `1px solid ${theme.components.input.borderColor}`;
  const half = { padding: '4px 8px', border };
  return (
    <span style={{ display: 'inline-flex' }}>
      <span style={{ ...half, background: theme.colors.background.secondary, borderRight: 0 }}>
        {name}
      </span>
      <span style={{ ...half, background: theme.components.input.background }}>{children}</span>
    </span>
  );
}

type Framed = Loaded & Loaded['panels'][number] & { title: string };

function Framed({ panel, data, range, marks, replaceVariables, title }: Framed) {
  const place = box(panel.gridPos);
  const outside = { position: 'absolute', ...place } as const;
  if (panel.type === 'row') {
    return (
      <h2
        style={{ ...theme.typography.h5, ...outside, margin: 0, lineHeight: `${place.height}px` }}
      >
        ▾ {title}
      </h2>
    );
  }
  const Kind = KINDS[panel.type];
  if (!Kind) {
    problem(title, `the preview cannot draw ${panel.type}`);
    return null;
  }
  const isEmpty = panel.targets !== undefined && data.length === 0;
  return (
    <section
      style={outside}
      data-panel={title || `panel ${panel.id}`}
      data-kind={panel.type}
      data-empty={isEmpty}
    >
      <PanelChrome
        width={place.width}
        height={place.height}
        title={title}
        description={panel.description}
        displayMode={panel.transparent ? 'transparent' : 'default'}
      >
        {(width, height) => (
          <Guard name={title}>
            {isEmpty ? (
              <Nothing text={panel.fieldConfig?.defaults.noValue ?? 'No data'} height={height} />
            ) : (
              <Kind {...{ panel, data, range, marks, replaceVariables, width, height }} />
            )}
          </Guard>
        )}
      </PanelChrome>
    </section>
  );
}

function Nothing({ text, height }: { text: string; height: number }) {
  const { secondary } = theme.colors.text;
  return (
    <div
      style={{
        height,
        display: 'grid',
        placeContent: 'center',
        textAlign: 'center',
        color: secondary,
      }}
    >
      {text}
    </div>
  );
}

/** Keeps the page working when a panel fails. */
class Guard extends Component<{ name: string; children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidCatch(error: Error) {
    problem(this.props.name, error);
  }

  override render() {
    return this.state.error ? <pre>{String(this.state.error)}</pre> : this.props.children;
  }
}
