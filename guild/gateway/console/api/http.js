// Calls of the gateway, with the token of this page. What it refuses is thrown as a `Problem`, with
// what to do about it.

import { parseAnswer, render } from "../logic/json.js";

const KEY = `guildbus token ${new URL(".", document.baseURI).pathname}`;
let token = sessionStorage.getItem(KEY) ?? "";
const listeners = new Set();

export function tokenOf() {
  return token;
}

export function keepToken(text) {
  token = text;
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

/** Have `listener` called when the gateway asks for a token; returns how to stop that. */
export function onRefused(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function refused() {
  for (const listener of listeners) listener(Boolean(token));
}

// Calls of the gateway. What it refuses is thrown as a `Problem`, with what to do about it.

const PATIENCE_MS = 60_000; // with one read
let skewMs = 0;

/** What the gateway's clock shows: that of this machine may go wrong. */
export const gatewayTime = () => new Date(Date.now() + skewMs);

export const API = new URL("api/v1/", document.baseURI);

/** A refusal, as RFC 9457 describes it. */
export class Problem extends Error {
  constructor(told) {
    super(told.detail || told.title || "the gateway refused this and did not say why");
    this.status = told.status ?? 0;
    this.title = told.title ?? "";
    this.error = told.error ?? "";
    this.remedy = told.remedy ?? "";
    this.fields = told.fields ?? [];
    this.retryAfterS = told.retryAfterS ?? 0;
    this.told = told;
  }
}

/** The address of `path`, each step of it escaped, with the query that is not "". */
export function urlOf(path, query = {}) {
  const url = new URL(path.map(encodeURIComponent).join("/"), API);
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(key, value);
  }
  return url;
}

export function get(path, query, { signal } = {}) {
  const late = AbortSignal.timeout(PATIENCE_MS);
  return call("GET", urlOf(path, query), { signal: signal ? AbortSignal.any([signal, late]) : late });
}

export function post(path, body = {}, options) {
  return call("POST", urlOf(path), { ...options, body });
}

async function call(method, url, options = {}) {
  const response = await answered(method, url, options);
  return parseAnswer((await response.text()) || "null");
}

/** The response to a call, once it is known to be no refusal. */
export async function answered(method, url, { body, headers = {}, signal } = {}) {
  const told = { Accept: "application/json", ...headers };
  if (tokenOf()) told.Authorization = `Bearer ${tokenOf()}`;
  if (body !== undefined) told["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, {
      method,
      headers: told,
      body: body === undefined ? undefined : render(body),
      signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      title: "The gateway does not answer",
      detail: error.name === "TimeoutError" ? "The gateway did not answer in time." : "The gateway cannot be reached.",
      remedy: "See whether its process still runs; this page goes on by itself when it is back.",
    });
  }
  const at = Date.parse(response.headers.get("Date"));
  if (at) skewMs = at - Date.now();
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  if (response.status === 401) refused();
  const text = await response.text().catch(() => "");
  let told = {};
  try {
    told = parseAnswer(text);
  } catch {
    // no JSON: of something that stands between this page and the gateway
  }
  const retryAfterS = Number(response.headers.get("Retry-After")) || 0;
  const title = `${response.status} ${response.statusText}`.trim();
  return new Problem({ title, ...told, status: response.status, retryAfterS });
}
