// A conversation as a sequence: a lane for each who takes part, an arrow for each message.

import { isBad, receiversOf, sequenceOf } from "../logic/conversation.js";
import { cut, visible } from "../logic/visible.js";
import { useWidth } from "../state/width.js";
import { html, useRef } from "../vendor/htm-preact.js";

const LANE = { least: 96, most: 190 };
const LEFT = 40;
const ROW = 38;
const HEAD = 44;
const MOST_STEPS = 200;

export function Sequence({ steps, chosen, onChoose }) {
  const { lanes, arrows } = sequenceOf(steps.slice(0, MOST_STEPS));
  const box = useRef(null);
  const fitting = (useWidth(box) - LEFT - 16) / lanes.length;
  const lane = Math.min(Math.max(fitting, LANE.least), LANE.most);
  const width = lanes.length * lane + LEFT;
  const height = HEAD + arrows.length * ROW + 16;
  const x = (index) => LEFT + (index + 0.5) * lane;
  return html`<div class="drawing" ref=${box} tabindex="0" role="region" aria-label="Sequence of messages">
    <svg class="sequence" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="group" aria-label=${`${arrows.length} messages between ${lanes.length}`}>
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
