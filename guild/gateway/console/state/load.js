// Something read from the gateway, with what went wrong; what was there stays while it is read anew.

import { useCallback, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { edition, useStore } from "./store.js";

const LATE_MS = 4000;
const NOTHING = { value: undefined, problem: null, isLoading: true, isLate: false };

/**
 * @param load called with `{signal}`; a new `deps` throws away what was there.
 * @param isOfSpec read anew when the guild may have another spec.
 * @returns {{value, problem, isLoading, isLate, reload: function(): void}}
 */
export function useLoad(load, deps, { isOfSpec = false } = {}) {
  const [found, setFound] = useState(NOTHING);
  const [turn, setTurn] = useState(0);
  const isBusy = useRef(false);
  useEffect(() => setFound(NOTHING), deps);
  useEffect(() => {
    const abort = new AbortController();
    isBusy.current = true;
    setFound((before) => ({ ...before, isLoading: true }));
    const late = setTimeout(() => setFound((before) => ({ ...before, isLate: true })), LATE_MS);
    const ended = (told) => {
      clearTimeout(late);
      if (abort.signal.aborted) return;
      isBusy.current = false;
      setFound((before) => ({ ...before, isLoading: false, isLate: false, ...told }));
    };
    load({ signal: abort.signal }).then(
      (value) => ended({ value, problem: null }),
      (problem) => ended({ problem }),
    );
    return () => {
      clearTimeout(late);
      abort.abort();
    };
  }, [...deps, turn]);
  // One that is on its way is not begun anew: a slow answer would never come.
  const reload = useCallback(() => isBusy.current || setTurn((before) => before + 1), []);
  const number = useStore(edition);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current && isOfSpec) reload();
    isFirst.current = false;
  }, [number]);
  return { ...found, reload };
}

/** Call `act` every so many seconds while the page is seen, and when it is seen again. */
export function useEvery(seconds, act, deps) {
  useEffect(() => {
    const isSeen = () => document.visibilityState !== "hidden";
    const timer = setInterval(() => isSeen() && act(), seconds * 1000);
    const seen = () => isSeen() && act();
    document.addEventListener("visibilitychange", seen);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, deps);
}
