// What every view is made of: its head, what stands where there is nothing to show or something went
// wrong, and the question before something is done.

import { visible } from "../logic/json.js";
import { useAct } from "../state/act.js";
import { trouble, useStore } from "../state/store.js";
import { Text } from "./text.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";

let isFirst = true;

export function Page({ title, lead, actions, back, children, className = "" }) {
  const heading = useRef(null);
  useEffect(() => {
    document.title = `${title} · ${document.documentElement.dataset.guild ?? "Guildbus"}`;
  }, [title]);
  useEffect(() => {
    if (!isFirst && document.activeElement === document.body) heading.current.focus(); // the link that led here is gone
    isFirst = false;
  }, []);
  return html`<div class="page ${className}">
    <header class="page-head">
      <div>
        ${back && html`<a class="back" href=${back.href}>${back.text}</a>`}
        <h1 tabindex="-1" ref=${heading}>${title}</h1>
        ${lead && html`<p class="lead">${lead}</p>`}
      </div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>
    ${children}
  </div>`;
}

// What stands where there is nothing to show, or where something went wrong.

/** There is nothing, and what to do about it. */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/**
 * A problem of the gateway: what happened, the fields it concerns, and the remedy.
 *
 * @param hasFields false where a form says beside each field what is wrong with it.
 */
export function ProblemNotice({ problem, onRetry, hasFields = true }) {
  if (!problem) return null;
  const fields = fieldsOf(problem);
  const isOfFields = fields.length > 0 && Boolean(problem.title); // its text says again what they say
  return html`<div class="notice bad" role="alert">
    <p>${isOfFields ? html`<${Text} value=${problem.title} />${hasFields ? ":" : "; what is wrong stands beside each field."}` : html`<${Text} value=${problem.message} most=${2000} />`}</p>
    ${fields.length > 0 && hasFields && html`<ul>${fields.map((field) => html`<li><${Text} value=${field} /></li>`)}</ul>`}
    ${problem.remedy && !isOfFields && html`<p class="remedy"><${Text} value=${problem.remedy} /></p>`}
    ${onRetry && html`<button type="button" onClick=${onRetry}>Try again</button>`}
  </div>`;
}

/** The problem's fields as sentences. */
export function fieldsOf(problem) {
  const fields = problem?.fields ?? [];
  if (!Array.isArray(fields)) return Object.entries(fields).map(([name, text]) => `${name}: ${text}`);
  return fields.map((field) =>
    typeof field === "string" ? field : `${field.field ?? field.path ?? field.name}: ${field.problem ?? field.detail ?? field.message}`,
  );
}

export const LATE = {
  message: "The gateway has not answered for a while.",
  remedy: "It may be waiting for its Redis. What is shown is what was seen last; this page goes on by itself.",
};

/**
 * Something being read for the first time; else its problem; else the children of its value.
 *
 * @param missing `{title, text}` of what is not there, or not any more.
 */
export function Loaded({ load, missing, children }) {
  const { value, problem, isLate } = load;
  if (problem?.status === 404 && missing) return html`<${Empty} title=${missing.title}><p>${missing.text}</p><//>`;
  const isTold = useStore(trouble) && (isLate || isOutage(problem));
  const notice = isTold ? null : isLate
    ? html`<${ProblemNotice} problem=${LATE} />`
    : problem && html`<${ProblemNotice} problem=${problem} onRetry=${load.reload} />`;
  if (value === undefined) return notice || html`<p class="loading" aria-busy="true">Reading …</p>`;
  return html`${notice}${children(value)}`;
}

/** Whether the gateway, or what stands behind it, is away. */
export function isOutage(problem) {
  return Boolean(problem) && !(problem.status >= 400 && problem.status < 500);
}

export function State({ value }) {
  return html`<span class="state ${toneOf(value)}"><span class="dot" aria-hidden="true"></span>${visible(value)}</span>`;
}

export function toneOf(state) {
  if (["active", "handled", "done", "ok", "approved", "answered"].includes(state)) return "good";
  if (["failed", "dead_lettered", "dead letter", "not running", "crashed", "rejected"].includes(state)) return "bad";
  if (["retried", "paused", "expired", "cancelled"].includes(state) || state?.startsWith("not in")) return "warn";
  return "quiet";
}

// Asks before something is done: says what will happen, and takes a reason where one is wanted.

/**
 * @param act called with `{reason, seconds}`; its text is announced, and the dialog closes.
 * @param asks `{reason: "label", needsReason: true, seconds: "label"}`: what is asked for besides.
 */
export function Confirm({ title, button, isDangerous, asks = {}, act, onClose, children }) {
  const dialog = useRef(null);
  const [reason, setReason] = useState("");
  const [seconds, setSeconds] = useState("60");
  const doing = useAct(act);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    if (await doing.run({ reason, seconds: Number(seconds) })) dialog.current?.close();
  };
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${onClose}>
    <form onSubmit=${submit}>
      <h2 id="dialog-title">${title}</h2>
      <div class="dialog-text">${children}</div>
      ${asks.reason &&
      html`<label class="field"
        ><span class="label">${asks.reason}</span>
        <input value=${reason} maxlength="2000" required=${Boolean(asks.needsReason)} onInput=${(event) => setReason(event.target.value)} />
      </label>`}
      ${asks.seconds &&
      html`<label class="field"
        ><span class="label">${asks.seconds}</span>
        <input type="number" min="1" max="3600" required value=${seconds} onInput=${(event) => setSeconds(event.target.value)} />
      </label>`}
      <${ProblemNotice} problem=${doing.problem} />
      <div class="dialog-buttons">
        <button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
        <button class=${isDangerous ? "danger" : "primary"} disabled=${doing.isBusy}>${doing.isBusy ? "Working …" : button}</button>
      </div>
    </form>
  </dialog>`;
}
