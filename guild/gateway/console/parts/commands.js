// The same act as the form's, for a terminal: as `guildbus …` and as `curl …`.

import { publishUrl, requestUrl } from "../api/guild_api.js";
import { tokenOf } from "../api/http.js";
import { cliOf, curlOf } from "../logic/commands.js";
import { useGuild } from "../state/store.js";
import { CopyButton } from "./text.js";
import { html } from "../vendor/htm-preact.js";

/**
 * @param act `publish` or `request`, and `acts` those that there are, `onAct` takes another one.
 * @param body what is sent by HTTP; `options` are those of the command.
 */
export function Commands({ act, acts, onAct, type, body, topic, options }) {
  const { guild } = useGuild();
  const isRequest = act === "request";
  const url = (isRequest ? requestUrl : publishUrl)(topic || "TOPIC").href;
  const headers = isRequest ? { Accept: "text/event-stream" } : {};
  return html`<section class="panel stack" aria-label="The same as a command">
    ${acts.length > 1 && html`<div class="tabs" role="group" aria-label="Commands for">
      ${acts.map((each) => html`<button type="button" aria-pressed=${each === act} onClick=${() => onAct(each)}>${NAMES[each]}</button>`)}
    </div>`}
    <${Copy} title="guildbus" text=${cliOf(act, guild.spec || "SPEC", type, body.data, options)} />
    <${Copy} title="curl" text=${curlOf(url, body, { hasToken: Boolean(tokenOf()), headers })} />
    ${!guild.spec && html`<p class="hint">SPEC stands for the path of the guild's spec.</p>`}
  </section>`;
}

const NAMES = { request: "As a request", publish: "As a message" };

function Copy({ title, text }) {
  return html`<div class="copy">
    <div class="copy-head"><h3>${title}</h3><${CopyButton} text=${text} what=${`the ${title} command`} /></div>
    <pre class="command" tabindex="0" role="region" aria-label=${`${title} command`}>${text}</pre>
  </div>`;
}
