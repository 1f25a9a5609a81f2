// A command that can be copied.

import { announce } from "../state/announcements.js";
import { html } from "../vendor/htm-preact.js";

export function Copy({ title, text }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce(`The ${title} command is in the clipboard.`);
    } catch {
      announce("The browser does not let this page write to the clipboard; select the text instead.");
    }
  };
  return html`<div class="copy">
    <div class="copy-head"><h3>${title}</h3><button type="button" class="quiet" onClick=${copy}>Copy<span class="unseen"> the ${title} command</span></button></div>
    <pre class="command" tabindex="0" role="region" aria-label=${`${title} command`}>${text}</pre>
  </div>`;
}
