// The tree of what was tried: each configuration below the one that it changes. One tab stop; the
// arrows walk, open and close.

import { hasChildren, moved, seenOf } from "../logic/branches.js";
import { gainOf, meanOf } from "../logic/figures.js";
import { countOf } from "../logic/format.js";
import { go } from "../state/route.js";
import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Text } from "./text.js";
import { shownOf, TrialLink, TrialState, trialHref } from "./trial_words.js";

const MOST_ROWS = 200;
const DEEPEST = 10; // what is deeper is drawn no further to the right

export function TrialTree({ branches, metric }) {
  const [closed, setClosed] = useState(new Set());
  const [most, setMost] = useState(MOST_ROWS);
  const [current, setCurrent] = useState("");
  const list = useRef(null);
  const isMoved = useRef(false);
  const all = seenOf(branches, closed);
  const rows = all.slice(0, most);
  const index = Math.max(0, rows.findIndex((row) => row.trial === current));
  useLayoutEffect(() => {
    if (!isMoved.current) return;
    isMoved.current = false;
    list.current?.children[index]?.focus();
  });
  const toggle = (trial) => {
    const next = new Set(closed);
    if (!next.delete(trial)) next.add(trial);
    setClosed(next);
  };
  const keys = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const row = rows[index];
    if (event.key === "Enter") {
      event.preventDefault();
      go(trialHref(shownOf(row)));
      return;
    }
    const move = moved(event.key, rows, index);
    if (!move) return;
    event.preventDefault();
    isMoved.current = true;
    if (move.to === undefined) {
      setCurrent(row.trial);
      toggle(row.trial);
    } else setCurrent(rows[move.to].trial);
  };
  const parents = branches.filter((_branch, at) => hasChildren(branches, at));
  return html`<div class="tree-of-trials">
    ${parents.length > 0 && html`<p class="row">
      <button type="button" class="quiet" onClick=${() => setClosed(new Set(parents.map(({ trial }) => trial)))}>Close all</button>
      <button type="button" class="quiet" disabled=${!closed.size} onClick=${() => setClosed(new Set())}>Open all</button>
      <span class="hint">The arrow keys walk the tree; Enter shows a trial.</span>
    </p>`}
    <div class="tried-head" aria-hidden="true"><span class="tried-name">Configuration</span><span>State</span><span class="tried-number"><${Text} value=${metric} most=${40} /></span><span class="tried-number">Gain</span><span>Proposed by</span><span>Why</span></div>
    <ul class="tried" role="tree" aria-label="What was tried" ref=${list} onKeyDown=${keys}>
      ${rows.map((row, at) => html`<${Branch} key=${row.trial} row=${row} metric=${metric} isCurrent=${at === index} onToggle=${() => toggle(row.trial)} onFocus=${() => setCurrent(row.trial)} />`)}
    </ul>
    ${rows.length < all.length && html`<p><button type="button" onClick=${() => setMost(most + MOST_ROWS)}>Show ${countOf(Math.min(MOST_ROWS, all.length - rows.length))} more of ${countOf(all.length - rows.length)}</button></p>`}
  </div>`;
}

function Branch({ row, metric, isCurrent, onToggle, onFocus }) {
  const expanded = row.isParent ? String(!row.isClosed) : undefined;
  return html`<li role="treeitem" class="tried-row" tabindex=${isCurrent ? 0 : -1} aria-level=${row.depth + 1} aria-expanded=${expanded} aria-selected=${isCurrent} onFocus=${onFocus} style=${{ "--depth": Math.min(row.depth, DEEPEST) }}>
    <span class="tried-name">
      ${row.isParent ? html`<span class="twisty" onClick=${onToggle} aria-hidden="true"></span>` : html`<span class="twisty leaf" aria-hidden="true"></span>`}
      <${TrialLink} id=${shownOf(row)} label=${row.label} tabindex="-1" />
      ${row.seeds > 1 && html`<span class="soft"> ×${row.seeds}<span class="unseen"> seeds</span></span>`}
    </span>
    <${TrialState} value=${row.state} />
    <span class="tried-number"><span class="unseen">${metric} </span>${meanOf(row)}</span>
    <span class="tried-number ${row.gain > 0 ? "gained" : ""}">${row.gain === null ? "" : html`<span class="unseen">, gain </span>${gainOf(row.gain)}`}</span>
    <span class="soft"><span class="unseen">, proposed by </span><${Text} value=${row.proposer} most=${40} /></span>
    <span class="soft tried-note"><${Text} value=${row.note} most=${160} /></span>
  </li>`;
}
