// What stands where there is nothing to show, or where something went wrong.

import { visible } from "../logic/visible.js";
import { html } from "../vendor/htm-preact.js";
import { Text } from "./text.js";

/** There is nothing, and what to do about it. */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/** A problem of the gateway: what happened, the fields it concerns, and the remedy. */
export function ProblemNotice({ problem, onRetry }) {
  if (!problem) return null;
  const fields = fieldsOf(problem);
  return html`<div class="notice bad" role="alert">
    <p><${Text} value=${problem.message} most=${2000} /></p>
    ${fields.length > 0 && html`<ul>${fields.map((field) => html`<li><${Text} value=${field} /></li>`)}</ul>`}
    ${problem.remedy && html`<p class="remedy"><${Text} value=${problem.remedy} /></p>`}
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

const LATE = {
  message: "The gateway has not answered for a while.",
  remedy: "It may be waiting for its Redis. What is shown is what was seen last; this page goes on by itself.",
};

/** Something being read for the first time; else its problem; else the children of its value. */
export function Loaded({ load, children }) {
  const { value, problem, isLate } = load;
  const notice = isLate
    ? html`<${ProblemNotice} problem=${LATE} />`
    : problem && html`<${ProblemNotice} problem=${problem} onRetry=${load.reload} />`;
  if (value === undefined) return notice || html`<p class="loading" aria-busy="true">Reading …</p>`;
  return html`${notice}${children(value)}`;
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
