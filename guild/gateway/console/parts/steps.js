// A conversation as a sequence, in time and as a tree, and one message of it.

import { isBad, receiversOf, sequenceOf, timelineOf, treeOf } from "../logic/conversation.js";
import { many, secondsOf } from "../logic/format.js";
import { cut, visible } from "../logic/json.js";
import { Empty, State } from "./page.js";
import { fontScale, useWidth } from "../state/layout.js";
import { href } from "../state/route.js";
import { Code, Json, Text, Time, TypeName } from "./text.js";
import { html, useRef } from "../vendor/htm-preact.js";

const LANE = { least: 96, most: 190 };
const LEFT = 40;
const ROW = 38;
const HEAD = 44;
const MOST_STEPS = 200;

export function Sequence({ steps, chosen, onChoose }) {
  const { lanes, arrows } = sequenceOf(steps.slice(0, MOST_STEPS));
  const box = useRef(null);
  const scale = fontScale(); // a drawing grows with the letters beside it
  const fitting = (useWidth(box) / scale - LEFT - 16) / lanes.length;
  const lane = Math.min(Math.max(fitting, LANE.least), LANE.most);
  const width = lanes.length * lane + LEFT;
  const height = HEAD + arrows.length * ROW + 16;
  const x = (index) => LEFT + (index + 0.5) * lane;
  return html`<div class="drawing" ref=${box} tabindex="0" role="region" aria-label="Sequence of messages">
    <svg class="sequence" width=${width * scale} height=${height * scale} viewBox=${`0 0 ${width} ${height}`} role="group" aria-label=${`${arrows.length} messages between ${lanes.length}`}>
      <defs><marker id="seq-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0.5L8 4L0 7.5z" /></marker></defs>
      ${lanes.map(
        (name, index) => html`<g aria-hidden="true"><line class="lane" x1=${x(index)} x2=${x(index)} y1=${HEAD - 8} y2=${height - 8} />
          <text class="lane-name" x=${x(index)} y="22">${visible(cut(name, Math.floor(lane / 7.5)))}</text></g>`,
      )}
      ${arrows.map((arrow, index) => html`<${Arrow} arrow=${arrow} x=${x} y=${HEAD + index * ROW + 22} width=${width} lane=${lane} isChosen=${arrow.step.id === chosen} onChoose=${onChoose} />`)}
    </svg>
    ${steps.length > MOST_STEPS && html`<p class="hint">The first ${MOST_STEPS} of ${steps.length} are drawn.</p>`}
  </div>`;
}

function Arrow({ arrow, x, y, width, lane, isChosen, onChoose }) {
  const { step, from, to } = arrow;
  const farthest = to.reduce((a, b) => (Math.abs(b - from) > Math.abs(a - from) ? b : a), to[0]);
  const key = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onChoose(step);
  };
  const isSelf = farthest === from;
  const shown = cut(step.type, Math.floor((lane / 7) * Math.max(1, Math.abs(farthest - from))));
  const receivers = receiversOf(step).join(" and ");
  const name = visible(`${step.number} ${shown}: ${step.sender || "outside"} to ${receivers}, ${step.state}${shown === step.type ? "" : `, ${step.type}`}`);
  const middle = isSelf ? x(from) + 26 : (x(from) + x(farthest)) / 2;
  return html`<g class="seq-step ${isBad(step.state) ? "bad" : ""} ${isChosen ? "chosen" : ""}" role="button" tabindex="0" aria-label=${name} aria-pressed=${isChosen} onClick=${() => onChoose(step)} onKeyDown=${key}>
    <rect class="hit" x="2" y=${y - 20} width=${width - 4} height=${ROW - 2} rx="4" />
    <text class="seq-number" x="30" y=${y + 4}>${step.number}</text>
    ${" "}${isSelf
      ? html`<path class="seq-line" d=${`M${x(from)} ${y - 4}h22v10h-20`} marker-end="url(#seq-tip)" />`
      : to.map((target) => target !== from && html`<path class="seq-line" d=${`M${x(from)} ${y + 3}H${x(target)}`} marker-end="url(#seq-tip)" />`)}
    <text class=${isSelf ? "seq-type start" : "seq-type"} x=${middle} y=${y - 4}>${visible(shown)}</text>
  </g>`;
}

// A conversation in time: how long each message waited, and how long it was handled.

const MOST_BARS = 200;

export function Timeline({ steps, chosen, onChoose }) {
  const { lengthS, bars } = timelineOf(steps);
  if (!bars.length) {
    return html`<${Empty} title="No times are known."><p>Times are known of what is handled while somebody watches: leave this console open, and run it again.</p><//>`;
  }
  const share = (seconds) => `${(100 * seconds) / lengthS}%`;
  const place = (seconds) => `min(${share(seconds)}, 100% - 3px)`; // what ends last is seen, too
  return html`<div class="timeline">
    <div class="axis" aria-hidden="true"><span>0</span><span>${secondsOf(lengthS / 2)}</span><span>${secondsOf(lengthS)}</span></div>
    <ol class="bars">
      ${bars.slice(0, MOST_BARS).map(
        (bar) => html`<li>
          <button type="button" class="bar-row ${bar.step.id === chosen ? "chosen" : ""} ${isBad(bar.state) ? "bad" : ""}" aria-pressed=${bar.step.id === chosen} onClick=${() => onChoose(bar.step)}>
            <span class="bar-name">${bar.step.number} <${Text} value=${bar.agent} most=${40} /> <${TypeName} value=${bar.step.type} /></span>
            <span class="bar-track" aria-hidden="true">
              <span class="bar-wait" style=${{ left: place(bar.fromS), width: share(bar.waitedS) }}></span>
              <span class="bar-work" style=${{ left: place(bar.fromS + bar.waitedS), width: share(bar.handledS) }}></span>
            </span>
            <span class="bar-figures">${bar.isTimed ? `waited ${secondsOf(bar.waitedS)}, took ${secondsOf(bar.handledS)}` : "no times are known"}</span>
          </button>
        </li>`,
      )}
    </ol>
    <p class="hint legend"><span class="key-wait"></span> waits <span class="key-work"></span> is handled</p>
  </div>`;
}

// A conversation as a tree: what followed from what.

export function Tree({ steps, chosen, onChoose }) {
  return html`<${Branches} nodes=${treeOf(steps)} chosen=${chosen} onChoose=${onChoose} />`;
}

function Branches({ nodes, chosen, onChoose }) {
  return html`<ul class="tree">
    ${nodes.map(
      ({ step, children }) => html`<li>
        <button type="button" class="tree-step ${step.id === chosen ? "chosen" : ""} ${isBad(step.state) ? "bad" : ""}" aria-pressed=${step.id === chosen} onClick=${() => onChoose(step)}>
          <span class="soft">${step.number}</span> <${TypeName} value=${step.type} />
          <span class="soft"><${Text} value=${step.sender || "outside"} most=${60} /> → <${Text} value=${receiversOf(step).join(", ")} most=${80} /></span>
          <${State} value=${step.state} />
        </button>
        ${children.length > 0 && html`<${Branches} nodes=${children} chosen=${chosen} onChoose=${onChoose} />`}
      </li>`,
    )}
  </ul>`;
}

// One message of a conversation, and what its agents made of it.

export function StepDetail({ step }) {
  return html`<section class="panel stack" id="step-detail" aria-label=${`Step ${step.number}`}>
    <div class="row spread"><h2>Step ${step.number}</h2><${State} value=${step.state} /></div>
    <dl class="facts">
      <dt>Type</dt><dd><${TypeName} value=${step.type} /></dd>
      <dt>From</dt><dd><${Text} value=${step.sender || "outside"} most=${100} /></dd>
      <dt>Topic</dt><dd><${Code} value=${step.topic} /></dd>
      ${step.at !== null && html`<dt>At</dt><dd><${Time} at=${step.at} /></dd>`}
      <dt>Message</dt><dd class="id"><${Text} value=${step.id} /></dd>
    </dl>
    ${step.agents.map((handling) => html`<${Handling} handling=${handling} />`)}
    ${step.data === null || step.data === undefined
      ? html`<p class="hint">Its data is not kept any more.</p>`
      : html`<${Json} value=${step.data} label=${`Data of step ${step.number}`} />`}
  </section>`;
}

function Handling({ handling }) {
  const times = [
    handling.attempts > 0 && many(handling.attempts, "attempt"),
    typeof handling.waited_s === "number" && `waited ${secondsOf(handling.waited_s)}`,
    typeof handling.handled_s === "number" && `took ${secondsOf(handling.handled_s)}`,
  ].filter(Boolean);
  return html`<div class="handling">
    <p><b><${Text} value=${handling.agent} most=${100} /></b> <${State} value=${handling.state} /> <span class="soft">${times.join(", ")}</span></p>
    ${handling.error && html`<p class="bad-text"><code><${Text} value=${handling.error} most=${2000} /></code></p>`}
    ${handling.letter_id && html`<p><a href=${href(["dead-letters", handling.letter_id])}>Its dead letter</a></p>`}
  </div>`;
}
