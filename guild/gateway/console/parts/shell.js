// What surrounds each view: the guild's name, the ways to the views, the theme, the connection.

import { guild as readGuild, approvals as readApprovals } from "../api/guild_api.js";
import { keepToken, onRefused, tokenOf } from "../api/token.js";
import { secondsOf } from "../logic/format.js";
import { announcements } from "../state/announcements.js";
import { GuildContext, has, mayOf } from "../state/guild.js";
import { connection, live, restartLive } from "../state/live.js";
import { useEvery, useLoad } from "../state/load.js";
import { useRoute } from "../state/route.js";
import { useStore } from "../state/store.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { ProblemNotice } from "./notice.js";
import { Text } from "./text.js";
import { DEFAULT_VIEW, GROUPS, VIEWS } from "./views.js";

export function Shell() {
  const [needsToken, setNeedsToken] = useState(null);
  const guild = useLoad(readGuild, []);
  useEffect(() => onRefused((hadToken) => setNeedsToken({ hadToken })), []);
  useEvery(guild.value ? 60 : 3, () => needsToken || guild.reload(), [Boolean(guild.value), needsToken]);
  if (needsToken) {
    const keep = (token) => {
      keepToken(token);
      setNeedsToken(null);
      guild.reload();
      restartLive();
    };
    return html`<${AskToken} hadToken=${needsToken.hadToken} onToken=${keep} />`;
  }
  if (!guild.value) {
    return html`<main class="starting">
      ${guild.problem ? html`<${ProblemNotice} problem=${guild.problem} onRetry=${guild.reload} />` : "Opening the console …"}
    </main>`;
  }
  document.documentElement.dataset.guild = guild.value.id;
  return html`<${GuildContext.Provider} value=${guild.value}><${Frame} guild=${guild.value} problem=${guild.problem} /><//>`;
}

function Frame({ guild, problem }) {
  const route = useRoute();
  const name = VIEWS[route.view] ? route.view : DEFAULT_VIEW;
  const [isOpen, setIsOpen] = useState(false);
  const main = useRef(null);
  useEffect(() => setIsOpen(false), [route]);
  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  return html`<div class="shell">
    <a class="skip" href="#main" onClick=${skip}>Skip to the view</a>
    <header class="rail ${isOpen ? "is-open" : ""}">
      <div class="rail-head">
        <img class="mark" src="icon.svg" alt="" />
        <div>
          <p class="guild-id"><${Text} value=${guild.name || guild.id} most=${60} /></p>
          ${guild.description && html`<p class="guild-about"><${Text} value=${guild.description} most=${90} /></p>`}
        </div>
        <button class="menu-button" type="button" aria-expanded=${isOpen} aria-controls="nav" onClick=${() => setIsOpen(!isOpen)}>Menu</button>
      </div>
      <nav class="nav" id="nav" aria-label="Views">
        ${GROUPS.map((group) => html`<${Group} group=${group} current=${name} guild=${guild} />`)}
      </nav>
      <div class="rail-foot">
        <${Connection} />
        <${Theme} />
        <${Caller} guild=${guild} />
      </div>
    </header>
    <main class="main" id="main" tabindex="-1" ref=${main}>
      ${problem ? html`<${ProblemNotice} problem=${problem} />` : html`<${Trouble} />`}
      <${View} key=${name} name=${name} route=${route} />
    </main>
    <${Announcement} />
  </div>`;
}

function Group({ group, current, guild }) {
  const views = group.views.filter((name) => !VIEWS[name].feature || has(guild, VIEWS[name].feature));
  return html`<div>
    <p class="nav-title" id=${`nav-${group.title}`}>${group.title}</p>
    <ul class="nav-group" aria-labelledby=${`nav-${group.title}`}>
      ${views.map(
        (name) => html`<li>
          <a href=${`#/${name}`} aria-current=${name === current ? "page" : undefined}>
            ${VIEWS[name].title}${name === "approvals" && html`<${Waiting} />`}
          </a>
        </li>`,
      )}
    </ul>
  </div>`;
}

/** How many approvals wait for a decision; looked at anew after each act of one's own. */
function Waiting() {
  const { number } = useStore(announcements);
  const found = useLoad((options) => readApprovals("open", options), []);
  useEvery(5, found.reload, []);
  useEffect(() => found.reload(), [number]);
  const count = found.value?.length ?? 0;
  return count ? html`<span class="badge">${count}<span class="unseen"> wait</span></span>` : null;
}

/** A view is read when it is first asked for. */
function View({ name, route }) {
  const [found, setFound] = useState({});
  useEffect(() => {
    VIEWS[name].load().then(
      (view) => setFound({ view }),
      () => setFound({ problem: { message: "This view could not be read from the gateway.", remedy: "Load the page again." } }),
    );
  }, [name]);
  if (found.problem) return html`<${ProblemNotice} problem=${found.problem} />`;
  return found.view ? html`<${found.view} ...${route} />` : html`<p class="loading" aria-busy="true">Reading …</p>`;
}

function Announcement() {
  const { text, number } = useStore(announcements);
  return html`<div class="announcement" role="status" key="announcement">${text && html`<span key=${number}><${Text} value=${text} /></span>`}</div>`;
}

/** Why the guild can tell nothing at the moment. */
function Trouble() {
  const { problem } = useStore(live);
  const { state } = useStore(connection);
  if (!problem || state !== "open") return null;
  const told = { message: problem, remedy: "What is shown is what was seen last; it goes on by itself." };
  return html`<${ProblemNotice} problem=${told} />`;
}

const STATES = {
  connecting: ["quiet", "Connecting …"],
  open: ["good", "Live"],
  resting: ["quiet", "Resting while hidden"],
  ended: ["bad", "Stopped"],
};

function Connection() {
  const { state, waitS, problem } = useStore(connection);
  if (state === "idle") return null;
  const [tone, text] = STATES[state] ?? ["warn", `Trying again in ${secondsOf(waitS)}`];
  return html`<p class="link-state" aria-live="polite">
    <span class="state ${tone}"><span class="dot" aria-hidden="true"></span>${text}</span>
    ${problem && html`<span class="unseen"><${Text} value=${problem.message} /></span>`}
  </p>`;
}

function Theme() {
  const [theme, setTheme] = useState(globalThis.guildbusTheme.get());
  const choose = (name) => {
    globalThis.guildbusTheme.choose(name);
    setTheme(name);
  };
  return html`<fieldset class="theme-field">
    <legend class="unseen">Theme</legend>
    <div class="theme">
      ${["system", "light", "dark"].map(
        (name) => html`<label
          ><input class="unseen" type="radio" name="theme" value=${name} checked=${theme === name} onChange=${() => choose(name)} />${name}</label
        >`,
      )}
    </div>
  </fieldset>`;
}

function Caller({ guild }) {
  const { caller } = guild;
  if (!caller) return null;
  const leave = () => {
    keepToken("");
    location.reload();
  };
  const all = ["read", "publish", "operate", "approve"].every((scope) => mayOf(guild, scope));
  return html`<p class="soft">
    You are <b><${Text} value=${caller.name} most=${40} /></b>; you may ${all ? "do everything" : caller.scopes.join(", ")}.
    ${tokenOf() && html` <button type="button" class="quiet" onClick=${leave}>Forget the token</button>`}
  </p>`;
}

function AskToken({ hadToken, onToken }) {
  const [token, setToken] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (token.trim()) onToken(token.trim());
  };
  return html`<main class="ask-token">
    <h1>A token is needed</h1>
    ${hadToken && html`<p class="notice bad" role="alert">The gateway does not know that token.</p>`}
    <p>This gateway lets in who has a token. Its operator makes one by <code>guildbus tokens add NAME</code>.</p>
    <form class="stack" onSubmit=${submit}>
      <label class="field"
        ><span class="label">Token</span>
        <input type="password" autocomplete="off" spellcheck=${false} required value=${token} onInput=${(event) => setToken(event.target.value)} />
        <span class="hint">It is kept until this tab is closed, and sent to this gateway alone.</span>
      </label>
      <div><button class="primary">Open the console</button></div>
    </form>
  </main>`;
}
