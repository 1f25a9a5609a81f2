// Texts that came from elsewhere: nothing in them is markup, and what hides in them is seen.

import { gatewayTime } from "../api/http.js";
import { dateOf, distanceOf, fullTimeOf, shortId, timeOf } from "../logic/format.js";
import { cut, piecesOf, render, visible } from "../logic/json.js";
import { announce } from "../state/act.js";
import { href } from "../state/route.js";
import { html } from "../vendor/htm-preact.js";

const MOST_LETTERS = 20_000;

/** A text of somebody else's. */
export function Text({ value, most = MOST_LETTERS }) {
  const pieces = piecesOf(cut(value ?? "", most));
  if (pieces.length === 1 && pieces[0].text !== undefined) return html`<bdi>${pieces[0].text}</bdi>`;
  return html`<bdi
    >${pieces.map(({ text, odd }) =>
      odd ? html`<span class="odd" title="a character that is not seen">${odd}</span>` : text,
    )}</bdi
  >`;
}

export function Code({ value, most }) {
  return html`<code><${Text} value=${value} most=${most} /></code>`;
}

/** @param what is copied, for its name. */
export function CopyButton({ text, what }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce(`Copied to the clipboard: ${what}.`);
    } catch {
      announce("The browser does not let this page write to the clipboard; select the text instead.");
    }
  };
  return html`<button type="button" class="quiet" onClick=${copy}>Copy<span class="unseen"> ${what}</span></button>`;
}

/** JSON as a block that can be scrolled by keyboard. */
export function Json({ value, label = "JSON" }) {
  const text = render(value, 2);
  const isCut = text.length > MOST_LETTERS;
  return html`<div class="json-box"><${CopyButton} text=${text} what=${label} />
    <pre class="json" tabindex="0" role="region" aria-label=${label}>${isCut ? text.slice(0, MOST_LETTERS) : text}</pre>
    ${isCut && html`<p class="hint">Cut after ${MOST_LETTERS} of ${text.length} characters; all of them are copied.</p>`}
  </div>`;
}

export function Time({ at, words = timeOf }) {
  const date = dateOf(at);
  if (Number.isNaN(date.getTime())) return html`<span>–</span>`;
  return html`<time datetime=${date.toISOString()} title=${fullTimeOf(at)}>${words(at, gatewayTime())}</time>`;
}

export const Distance = ({ at }) => html`<${Time} at=${at} words=${distanceOf} />`;

/** A link to the conversation that a message belongs to. */
export function ConversationLink({ id, text }) {
  if (!id) return html`<span>–</span>`;
  return html`<a class="id" href=${href(["conversations", id])} title=${visible(id)}>${text ?? visible(shortId(id))}</a>`;
}

export function TypeName({ value }) {
  return html`<span class="type"><${Text} value=${value} most=${120} /></span>`;
}
