// Something read from the gateway, with what went wrong; what was there stays while it is read anew.

import { useCallback, useEffect, useState } from "../vendor/htm-preact.js";

const NOTHING = { value: undefined, problem: null, isLoading: true };

/**
 * @param load called with `{signal}`; a new `deps` throws away what was there.
 * @returns {{value, problem, isLoading, reload: function(): void}}
 */
export function useLoad(load, deps) {
  const [found, setFound] = useState(NOTHING);
  const [turn, setTurn] = useState(0);
  useEffect(() => setFound(NOTHING), deps);
  useEffect(() => {
    const abort = new AbortController();
    setFound((before) => ({ ...before, isLoading: true }));
    load({ signal: abort.signal }).then(
      (value) => abort.signal.aborted || setFound({ value, problem: null, isLoading: false }),
      (problem) =>
        abort.signal.aborted || setFound((before) => ({ ...before, problem, isLoading: false })),
    );
    return () => abort.abort();
  }, [...deps, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
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
