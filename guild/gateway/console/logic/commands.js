// The same act as the form's, for a terminal: `guildbus …` and `curl …`.

import { render } from "./json.js";

const PLAIN = /^[A-Za-z0-9_@%+=:,.\/-]+$/;
const KEY = /^[A-Za-z_][\w.-]*$/;

export function quoted(word) {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** `name=Ada count:=3` where that says it all, else one JSON text. */
export function wordsOf(data) {
  const entries = Object.entries(data ?? {}).filter(([, value]) => value !== undefined);
  const isPlain = entries.every(([key, value]) => KEY.test(key) && isShown(value));
  if (!isPlain || !entries.length) return [quoted(render(data ?? {}))];
  return entries.map(([key, value]) =>
    quoted(typeof value === "string" ? `${key}=${value}` : `${key}:=${render(value)}`),
  );
}

function isShown(value) {
  return typeof value !== "string" || JSON.stringify(value) === render(value);
}

/**
 * @param act `publish` or `request`.
 * @param options `{topic, delay_s, timeout_s, conversation}`.
 */
export function cliOf(act, spec, type, data, options) {
  const words = ["guildbus", act, quoted(spec), quoted(type), ...wordsOf(data)];
  if (options.topic) words.push("--topic", quoted(options.topic));
  if (act === "publish" && options.delay_s) words.push("--delay", String(options.delay_s));
  if (act === "request" && options.timeout_s) words.push("--timeout", String(options.timeout_s));
  if (act === "request" && options.conversation) {
    words.push("--conversation", quoted(options.conversation));
  }
  return words.join(" ");
}

export function curlOf(url, body, { hasToken, headers = {} } = {}) {
  const told = { ...headers, "Content-Type": "application/json" };
  const lines = [`curl -sS -X POST ${quoted(url)}`];
  if (hasToken) lines.push('-H "Authorization: Bearer $GUILDBUS_TOKEN"');
  for (const [name, value] of Object.entries(told)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  lines.push(`--data ${quoted(render(body))}`);
  return lines.join(" \\\n  ");
}
