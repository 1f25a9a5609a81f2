// The console: the ways to its views, and what surrounds each of them.

import { approvals as readApprovals, graph as readGraph, guild as readGuild, letters as readLetters } from "./api/guild_api.js";
import { keepToken, onRefused, tokenOf } from "./api/http.js";
import { secondsOf } from "./logic/format.js";
import { atLeast, totalsOf } from "./logic/live_state.js";
import { Empty, isOutage, LATE, Page, ProblemNotice } from "./parts/page.js";
import { Text } from "./parts/text.js";
import { announce, announcements } from "./state/act.js";
import { connection, live, restartLive } from "./state/live.js";
import { useEvery, useLoad } from "./state/load.js";
import { href, useRoute } from "./state/route.js";
import { edition, GuildContext, has, keptLetters, mayOf, MOST_LETTERS, storeOf, trouble, useStore } from "./state/store.js";
import { html, render, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";

function Shell() {
  const [needsToken, setNeedsToken] = useState(null);
  const found = useLoad(readSpec, []);
  const spec = useSpec(found);
  useEffect(() => onRefused((hadToken) => setNeedsToken({ hadToken })), []);
  useEvery(spec ? 60 : 3, () => needsToken || found.reload(), [Boolean(spec), needsToken]);
  if (needsToken) {
    const keep = (token) => {
      keepToken(token);
      setNeedsToken(null);
      found.reload();
      restartLive();
    };
    return html`<${AskToken} hadToken=${needsToken.hadToken} onToken=${keep} />`;
  }
  if (!spec) {
    return html`<main class="starting">
      ${found.problem ? html`<${ProblemNotice} problem=${found.problem} onRetry=${found.reload} />` : "Opening the console …"}
    </main>`;
  }
  document.documentElement.dataset.guild = spec.guild.id;
  return html`<${GuildContext.Provider} value=${spec}><${Frame} guild=${spec.guild} problem=${found.problem} /><//>`;
}

async function readSpec(options) {
  const [guild, graph] = await Promise.all([readGuild(options), readGraph(options)]);
  return { guild, graph };
}

/** What was read, the same object while it says the same; views read theirs anew where it does not. */
function useSpec({ value, reload }) {
  const text = JSON.stringify(value);
  const spec = useMemo(() => value, [text]);
  const wiring = spec && JSON.stringify([spec.graph, { ...spec.guild, caller: null }]);
  const seen = useRef("");
  useEffect(() => {
    if (!wiring) return;
    if (seen.current) {
      announce("The guild has another spec by now; this page shows it.");
      edition.set(edition.get() + 1);
    }
    seen.current = wiring;
  }, [wiring]);
  useEffect(() => {
    let wasLost = false;
    return connection.subscribe(({ state }) => {
      if (state === "open" && wasLost) reload(); // what answers now may have been started anew
      wasLost = state === "waiting" || (wasLost && state !== "open");
    });
  }, []);
  return spec;
}

function Frame({ guild, problem }) {
  const route = useRoute();
  const name = route.view || DEFAULT_VIEW;
  const [opened] = useState(guild.version);
  const [isOpen, setIsOpen] = useState(false);
  const main = useRef(null);
  useEffect(() => setIsOpen(false), [route]);
  const escape = ({ key, currentTarget }) => {
    if (key !== "Escape" || !isOpen) return;
    setIsOpen(false);
    currentTarget.querySelector(".menu-button").focus();
  };
  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  return html`<div class="shell">
    <a class="skip" href="#main" onClick=${skip}>Skip to the view</a>
    <header class="rail ${isOpen ? "is-open" : ""}" onKeyDown=${escape}>
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
      ${guild.version !== opened && html`<div class="notice"><p>The gateway is of version ${guild.version} by now, and this page of ${opened}.</p><button type="button" onClick=${() => location.reload()}>Load the page again</button></div>`}
      ${problem ? html`<${ProblemNotice} problem=${problem} />` : html`<${Trouble} />`}
      ${Object.hasOwn(VIEWS, name) ? html`<${View} key=${name} name=${name} route=${route} />` : html`<${NoSuchPage} guild=${guild} name=${name} />`}
    </main>
    <${Announcement} />
  </div>`;
}

const viewsOf = (group, guild) => group.views.filter((name) => !VIEWS[name].feature || has(guild, VIEWS[name].feature));

function NoSuchPage({ guild, name }) {
  const views = GROUPS.flatMap((group) => viewsOf(group, guild));
  return html`<${Page} title="There is no such page">
    <${Empty} title=${html`The console has no page <${Text} value=${name} most=${100} />.`}>
      <p>It has these: ${views.map((each, index) => html`${index > 0 && ", "}<a href=${href([each])}>${VIEWS[each].title}</a>`)}.</p>
    <//>
  <//>`;
}

function Group({ group, current, guild }) {
  const views = viewsOf(group, guild);
  return html`<div>
    <p class="nav-title" id=${`nav-${group.title}`}>${group.title}</p>
    <ul class="nav-group" aria-labelledby=${`nav-${group.title}`}>
      ${views.map(
        (name) => html`<li>
          <a href=${`#/${name}`} aria-current=${name === current ? "page" : undefined}>
            ${VIEWS[name].title}${name === "approvals" && html`<${Waiting} />`}${name === "dead-letters" && html`<${Kept} />`}
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

/** What the one read that all views have in common came to, where it came to nothing. */
const outage = storeOf(null);

/** How many dead letters are kept; looked at anew when there are more, too. */
function Kept() {
  const { number } = useStore(announcements);
  const { dead } = totalsOf(useStore(live).agents);
  const found = useLoad((options) => readLetters({ count: MOST_LETTERS }, options), []);
  useEvery(15, found.reload, []);
  useEffect(() => found.reload(), [number, dead]);
  useEffect(() => keptLetters.set(found.value ?? []), [found.value]);
  useEffect(() => outage.set(found.isLate ? LATE : isOutage(found.problem) ? found.problem : null), [found.isLate, found.problem]);
  const count = found.value?.length ?? 0;
  return count ? html`<span class="badge">${atLeast(count, MOST_LETTERS)}<span class="unseen"> kept</span></span>` : null;
}

/** A view is read when it is first asked for. */
function View({ name, route }) {
  const [found, setFound] = useState({});
  useEffect(() => {
    VIEWS[name].load().then(
      (view) => setFound({ view }),
      () => setFound({ problem: { message: "This view could not be read from the gateway.", remedy: "Browsers ask for it once: load the page again when the gateway is back." } }),
    );
  }, [name]);
  if (found.problem) return html`<${ProblemNotice} problem=${found.problem} onRetry=${() => location.reload()} />`;
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
  const away = useStore(outage);
  const told = problem && state === "open" ? { message: problem, remedy: "What is shown is what was seen last; it goes on by itself." } : away;
  useEffect(() => trouble.set(Boolean(told)), [Boolean(told)]);
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
    Times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone}.
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

// The views of the console, in the order of the menu. Each is read when it is first opened.

const view = (name) => () => import(`./views/${name}.js`).then((module) => module.default);

export const VIEWS = {
  topology: { title: "Topology", load: view("topology") },
  messages: { title: "Messages", load: view("messages") },
  conversations: { title: "Conversations", load: view("conversations") },
  agents: { title: "Agents", load: view("agents") },
  publish: { title: "Publish", load: view("publish") },
  chat: { title: "Chat", load: view("chat") },
  experiments: { title: "Experiments", load: view("experiments"), feature: "experiments" },
  approvals: { title: "Approvals", load: view("approvals"), feature: "approvals" },
  "dead-letters": { title: "Dead letters", load: view("dead_letters") },
};

export const GROUPS = [
  { title: "Watch", views: ["topology", "messages", "conversations", "experiments"] },
  { title: "Talk", views: ["publish", "chat"] },
  { title: "Operate", views: ["agents", "dead-letters", "approvals"] },
];

export const DEFAULT_VIEW = "topology";

// Begins the console.

const app = document.getElementById("app");
app.textContent = "";
render(html`<${Shell} />`, app);
