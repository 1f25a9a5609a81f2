// Something done at the click of a button: once at a time, with its problem beside it, and what was
// done in a sentence, seen for a while and read aloud by screen readers.

import { storeOf } from "./store.js";
import { useCallback, useRef, useState } from "../vendor/htm-preact.js";

/** @returns {{run: function(...): Promise<boolean>, isBusy, problem, forget}} `run` says whether it went well. */
export function useAct(act) {
  const [state, setState] = useState({ isBusy: false, problem: null });
  const busy = useRef(false);
  const run = useCallback(async (...args) => {
    if (busy.current) return false;
    busy.current = true;
    setState({ isBusy: true, problem: null });
    try {
      const told = await act(...args);
      if (typeof told === "string") announce(told);
      setState({ isBusy: false, problem: null });
      return true;
    } catch (problem) {
      setState({ isBusy: false, problem });
      return false;
    } finally {
      busy.current = false;
    }
  }, [act]);
  return { ...state, run, forget: () => setState({ isBusy: false, problem: null }) };
}

// What was done, in a sentence: seen for a while, and read aloud by screen readers.

const SHOWN_MS = 8000;

export const announcements = storeOf({ text: "", number: 0 });

let timer = 0;

export function announce(text) {
  clearTimeout(timer);
  announcements.set({ text, number: announcements.get().number + 1 });
  timer = setTimeout(() => announcements.set({ ...announcements.get(), text: "" }), SHOWN_MS);
}
