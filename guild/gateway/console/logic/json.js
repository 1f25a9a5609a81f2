// JSON without loss: a number that JavaScript would change (2^60, 1.0, 1e400) is kept as it was written.

import { hasOdd, isOdd } from "./visible.js";

/** A number as it stood in the text. */
export class Numeral {
  constructor(source) {
    this.source = source;
  }

  toString() {
    return this.source;
  }
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const INTEGER = /^-?(0|[1-9]\d*)$/;

/** The number that `text` says, undefined if it says none. */
export function numberOf(text, { whole = false } = {}) {
  const trimmed = text.trim();
  if (!(whole ? INTEGER : NUMBER).test(trimmed)) return undefined;
  const value = Number(trimmed);
  return String(value) === trimmed ? value : new Numeral(trimmed);
}

/** @throws {SyntaxError} `text` is no JSON. */
export function parse(text) {
  return JSON.parse(text, (_key, value, context) => {
    const source = typeof value === "number" ? context?.source : undefined;
    return source === undefined || String(value) === source ? value : new Numeral(source);
  });
}

/** What the gateway answers: its own figures are plain numbers, those of messages are kept exactly. */
export function parseAnswer(text) {
  return plain(parse(text));
}

const DOCUMENTS = new Set(["data", "payload", "details", "json_schema"]);

function plain(value) {
  if (value instanceof Numeral) return Number(value.source);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, each]) => [key, DOCUMENTS.has(key) ? each : plain(each)]));
}

/** As JSON; what would hide or turn the text round is escaped. */
export function render(value, indent = 0) {
  return rendered(value, indent ? " ".repeat(indent) : "", "");
}

function rendered(value, step, margin) {
  if (value instanceof Numeral) return value.source;
  if (typeof value === "string") return quoted(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const inner = margin + step;
  const items = Array.isArray(value)
    ? value.map((item) => rendered(item, step, inner))
    : Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([key, item]) => `${quoted(key)}:${step && " "}${rendered(item, step, inner)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (!items.length) return open + close;
  if (!step) return open + items.join(",") + close;
  return `${open}\n${inner}${items.join(`,\n${inner}`)}\n${margin}${close}`;
}

function quoted(text) {
  const plain = JSON.stringify(text);
  if (!hasOdd(plain)) return plain; // one look for a megabyte of text
  let out = "";
  for (const character of plain) {
    const code = character.codePointAt(0);
    out += isOdd(code) && code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : character;
  }
  return out;
}

/** Equal as JSON. */
export function isSame(one, other) {
  return render(one ?? null) === render(other ?? null);
}
