// JSON without loss: a number that JavaScript would change (2^60, 1.0, 1e400) is kept as it was
// written; what hides in a text, or turns it round, is seen.

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

/**
 * @param tellsSource whether this browser tells how a number was written; those of before 2025 do not.
 * @throws {SyntaxError} `text` is no JSON.
 */
export function parse(text, tellsSource = TELLS_SOURCE) {
  if (!tellsSource) return parseMarked(text);
  return JSON.parse(text, (_key, value, context) => {
    const source = typeof value === "number" ? context?.source : undefined;
    return source === undefined || String(value) === source ? value : new Numeral(source);
  });
}

const TELLS_SOURCE = JSON.parse("1", (_key, _value, context) => context?.source === "1");
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g; // texts, so that no number is seen in them
const MARK = "\ue000written ";

/** The numbers that would change go through as texts. */
function parseMarked(text) {
  JSON.parse(text); // what is no JSON is refused as it was written
  const isKept = (token) => token[0] === '"' || String(Number(token)) === token;
  const marked = text.replace(TOKENS, (token) => (isKept(token) ? token : `"${MARK}${token}"`));
  const written = (value) => typeof value === "string" && value.startsWith(MARK) && value.slice(MARK.length);
  return JSON.parse(marked, (_key, value) => (NUMBER.test(written(value) || "") ? new Numeral(written(value)) : value));
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

// Characters that hide, or turn the text round that stands beside them, are shown by their number.

const RANGES = [
  [0x00, 0x08], [0x0b, 0x1f], [0x7f, 0x9f], // controls but tab and line feed
  [0xad, 0xad], [0x61c, 0x61c], [0x180e, 0x180e],
  [0x200b, 0x200f], [0x2028, 0x202e], [0x2060, 0x206f], // widths of zero, marks, overrides, isolates
  [0xd800, 0xdfff], [0xfeff, 0xfeff], [0xfff9, 0xfffb], [0xe0000, 0xe007f],
];

export function isOdd(code) {
  return code < 0x20 ? code !== 9 && code !== 10 : RANGES.some(([a, z]) => code >= a && code <= z);
}

const ODD = new RegExp(`[${RANGES.map(([a, z]) => `\\u{${a.toString(16)}}-\\u{${z.toString(16)}}`).join("")}]`, "u");

export function hasOdd(text) {
  return ODD.test(text);
}

function labelOf(code) {
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** `text` in pieces: `{text}` to be shown as it is, `{odd}` the name of a character that is not. */
export function piecesOf(text) {
  if (!hasOdd(String(text))) return [{ text: String(text) }];
  const pieces = [];
  let plain = "";
  for (const character of String(text)) {
    const code = character.codePointAt(0);
    if (!isOdd(code)) {
      plain += character;
      continue;
    }
    if (plain) pieces.push({ text: plain });
    plain = "";
    pieces.push({ odd: labelOf(code) });
  }
  if (plain || !pieces.length) pieces.push({ text: plain });
  return pieces;
}

/** The same as one plain text, for names and titles. */
export function visible(text) {
  return piecesOf(text).map((piece) => piece.text ?? `⟨${piece.odd}⟩`).join("");
}

/** At most `most` characters of `text`. */
export function cut(text, most) {
  const whole = String(text);
  if (whole.length <= most) return whole;
  const end = whole.codePointAt(most - 2) > 0xffff ? most - 2 : most - 1; // no half of a pair
  return `${whole.slice(0, end)}…`;
}
