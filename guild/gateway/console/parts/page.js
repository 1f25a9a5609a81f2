// The head of a view: its name, a sentence, and what can be done there.

import { html, useEffect } from "../vendor/htm-preact.js";

export function Page({ title, lead, actions, back, children, className = "" }) {
  useEffect(() => {
    document.title = `${title} · ${document.documentElement.dataset.guild ?? "Guildbus"}`;
  }, [title]);
  return html`<div class="page ${className}">
    <header class="page-head">
      <div>
        ${back && html`<a class="back" href=${back.href}>${back.text}</a>`}
        <h1 tabindex="-1">${title}</h1>
        ${lead && html`<p class="lead">${lead}</p>`}
      </div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>
    ${children}
  </div>`;
}
