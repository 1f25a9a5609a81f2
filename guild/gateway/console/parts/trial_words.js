// What is said of a trial and a study in the same words everywhere.

import { href } from "../logic/route.js";
import { visible } from "../logic/visible.js";
import { html } from "../vendor/htm-preact.js";
import { toneOf } from "./notice.js";
import { Text } from "./text.js";

const TONES = { running: "runs", diverged: "bad", interrupted: "warn" };

export function TrialState({ value }) {
  return html`<span class="state ${TONES[value] ?? toneOf(value)}"><span class="dot" aria-hidden="true"></span>${visible(value)}</span>`;
}

/** Whether a study runs, has ended, or rests: none of its trials runs, and more may come. */
export function studyStateOf({ running, ended_at: endedAt }) {
  if (running > 0) return "running";
  return endedAt === null ? "at rest" : "ended";
}

export const trialHref = (id, query) => href(["experiments", "trial", id], query);
export const studyHref = (name, query) => href(["experiments", "study", name], query);

/** The trial that a configuration is shown by: the seed that runs, else the first. */
export function shownOf({ trial, latest, state }) {
  return state === "running" ? latest : trial;
}

export function TrialLink({ id, label, ...attributes }) {
  return html`<a href=${trialHref(id)} ...${attributes}><${Text} value=${label || id} most=${80} /></a>`;
}
