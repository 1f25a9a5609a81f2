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
