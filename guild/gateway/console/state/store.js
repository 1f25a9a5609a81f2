// What several views look at: a value that they are drawn anew by, and the guild that is shown.

import { createContext, useContext, useEffect, useState } from "../vendor/htm-preact.js";

export function storeOf(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      if (next === value) return;
      value = next;
      for (const listener of [...listeners]) listener(value);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useStore(store) {
  const [value, setValue] = useState(store.get());
  useEffect(() => {
    setValue(store.get());
    return store.subscribe(setValue);
  }, [store]);
  return value;
}

export const GuildContext = createContext(null);

/** @returns {{guild, graph, may: function(string): boolean}} */
export function useGuild() {
  const spec = useContext(GuildContext);
  return { ...spec, may: (scope) => mayOf(spec.guild, scope) };
}

/** A number that changes when the guild may have been started with another spec. */
export const edition = storeOf(0);

/** Whether it is told above the view that the guild does not answer: a view need not say it again. */
export const trouble = storeOf(false);

/** Dead letters that are kept, the oldest first; at most `MOST_LETTERS` are looked at. */
export const keptLetters = storeOf([]);
export const MOST_LETTERS = 100;

export function mayOf(guild, scope) {
  return Boolean(guild?.caller?.scopes?.includes(scope));
}

export function has(guild, feature) {
  return Boolean(guild?.features?.includes(feature));
}
