// A conversation as a sequence: a lane for each who takes part, an arrow for each message.

import { isBad, sequenceOf } from "../logic/conversation.js";
import { cut, visible } from "../logic/visible.js";
import { html } from "../vendor/htm-preact.js";

const LANE = 168;
const ROW = 38;
const HEAD = 44;
const MOST_STEPS = 200;

export function Sequence({ steps, chosen, onChoose }) {
  const { lanes, arrows } = sequenceOf(steps.slice(0, MOST_STEPS));
  const width = lanes.length * LANE + 44;
  const height = HEAD + arrows.length * ROW + 16;
  const x = (lane) => 44 + lane * LANE + LANE / 2;
  return html`<div class="drawing" tabindex="0" role="region" aria-label="Sequence of messages">
    <svg class="sequence" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="group" aria-label=${`${arrows.length} messages between ${lanes.length}`}>
      <defs><marker id="seq-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0.5L8 4L0 7.5z" /></marker></defs>
      ${lanes.map(
        (name, index) => html`<g aria-hidden="true"><line class="lane" x1=${x(index)} x2=${x(index)} y1=${HEAD - 8} y2=${height - 8} />
          <text class="lane-name" x=${x(index)} y="22">${visible(cut(name, 22))}</text></g>`,
      )}
      ${arrows.map((arrow, index) => html`<${Arrow} arrow=${arrow} x=${x} y=${HEAD + index * ROW + 22} width=${width} isChosen=${arrow.step.id === chosen} onChoose=${onChoose} />`)}
    </svg>
    ${steps.length > MOST_STEPS && html`<p class="hint">The first ${MOST_STEPS} of ${steps.length} are drawn.</p>`}
  </div>`;
}

function Arrow({ arrow, x, y, width, isChosen, onChoose }) {
  const { step, from, to } = arrow;
  const farthest = to.reduce((a, b) => (Math.abs(b - from) > Math.abs(a - from) ? b : a), to[0]);
  const key = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onChoose(step);
  };
  const receivers = step.agents.map((each) => each.agent).join(" and ") || step.topic;
  const name = visible(`Step ${step.number}: ${step.sender || "outside"} to ${receivers}, ${step.type}, ${step.state}`);
  const isSelf = farthest === from;
  const middle = isSelf ? x(from) + 26 : (x(from) + x(farthest)) / 2;
  return html`<g class="seq-step ${isBad(step.state) ? "bad" : ""} ${isChosen ? "chosen" : ""}" role="button" tabindex="0" aria-label=${name} aria-pressed=${isChosen} onClick=${() => onChoose(step)} onKeyDown=${key}>
    <rect class="hit" x="2" y=${y - 20} width=${width - 4} height=${ROW - 2} rx="4" />
    <text class="seq-number" x="30" y=${y + 4}>${step.number}</text>
    ${isSelf
      ? html`<path class="seq-line" d=${`M${x(from)} ${y - 4}h22v10h-20`} marker-end="url(#seq-tip)" />`
      : to.map((lane) => lane !== from && html`<path class="seq-line" d=${`M${x(from)} ${y + 3}H${x(lane)}`} marker-end="url(#seq-tip)" />`)}
    <text class=${isSelf ? "seq-type start" : "seq-type"} x=${middle} y=${y - 4}>${visible(cut(step.type, isSelf ? 18 : 22 * Math.max(1, Math.abs(farthest - from))))}</text>
  </g>`;
}
