import { cut, piecesOf, visible } from "/logic/json.js";
import { equal } from "./checks.js";

export function test_each_override_isolate_and_mark_is_named() {
  for (const code of [0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0x200e, 0x200f, 0x61c]) {
    const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
    equal(visible(`a${String.fromCodePoint(code)}b`), `a⟨${name}⟩b`);
  }
}

export function test_controls_ansi_and_tags_are_named_and_lines_are_kept() {
  equal(visible("a\u001b[31m\tb\nc\u{e0041}"), "a⟨U+001B⟩[31m\tb\nc⟨U+E0041⟩");
}

export function test_ordinary_writing_is_left_alone_whatever_its_direction() {
  for (const text of ["שלום עולם", "مرحبا", "日本語 👩‍💻".replace("\u200d", ""), "é ß", ""]) {
    equal(piecesOf(text), [{ text }]);
  }
}

export function test_a_long_text_is_cut_between_characters() {
  equal(cut("abcdef", 4), "abc…");
  equal(cut("ab👍cd", 4), "ab…");
  equal(cut("abcd", 4), "abcd");
}
