// One message of a conversation, and what its agents made of it.

import { many, secondsOf } from "../logic/format.js";
import { href } from "../logic/route.js";
import { html } from "../vendor/htm-preact.js";
import { State } from "./notice.js";
import { Code, Json, Text, Time, TypeName } from "./text.js";

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
