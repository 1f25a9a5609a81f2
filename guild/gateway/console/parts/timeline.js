// A conversation in time: how long each message waited, and how long it was handled.

import { isBad, timelineOf } from "../logic/conversation.js";
import { secondsOf } from "../logic/format.js";
import { Empty } from "./notice.js";
import { Text, TypeName } from "./text.js";
import { html } from "../vendor/htm-preact.js";

const MOST_BARS = 200;

export function Timeline({ steps, chosen, onChoose }) {
  const { lengthS, bars } = timelineOf(steps);
  if (!bars.length) {
    return html`<${Empty} title="No times are known."><p>Times are known of what is handled while somebody watches: leave this console open, and run it again.</p><//>`;
  }
  const share = (seconds) => `${(100 * seconds) / lengthS}%`;
  return html`<div class="timeline">
    <div class="axis" aria-hidden="true"><span>0</span><span>${secondsOf(lengthS / 2)}</span><span>${secondsOf(lengthS)}</span></div>
    <ol class="bars">
      ${bars.slice(0, MOST_BARS).map(
        (bar) => html`<li>
          <button type="button" class="bar-row ${bar.step.id === chosen ? "chosen" : ""} ${isBad(bar.state) ? "bad" : ""}" aria-pressed=${bar.step.id === chosen} onClick=${() => onChoose(bar.step)}>
            <span class="bar-name">${bar.step.number} <${Text} value=${bar.agent} most=${40} /> <${TypeName} value=${bar.step.type} /></span>
            <span class="bar-track" aria-hidden="true">
              <span class="bar-wait" style=${{ left: share(bar.fromS), width: share(bar.waitedS) }}></span>
              <span class="bar-work" style=${{ left: share(bar.fromS + bar.waitedS), width: share(bar.handledS) }}></span>
            </span>
            <span class="bar-figures">${bar.isTimed ? `waited ${secondsOf(bar.waitedS)}, took ${secondsOf(bar.handledS)}` : "no times are known"}</span>
          </button>
        </li>`,
      )}
    </ol>
    <p class="hint legend"><span class="key-wait"></span> waits <span class="key-work"></span> is handled</p>
  </div>`;
}
