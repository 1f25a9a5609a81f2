// What was done, in a sentence: seen for a while, and read aloud by screen readers.

import { storeOf } from "./store.js";

const SHOWN_MS = 8000;

export const announcements = storeOf({ text: "", number: 0 });

let timer = 0;

export function announce(text) {
  clearTimeout(timer);
  announcements.set({ text, number: announcements.get().number + 1 });
  timer = setTimeout(() => announcements.set({ ...announcements.get(), text: "" }), SHOWN_MS);
}
