// The token of this page: kept for the tab, sent in a header, in no address.

const KEY = `guildbus token ${new URL(".", document.baseURI).pathname}`;
let token = sessionStorage.getItem(KEY) ?? "";
const listeners = new Set();

export function tokenOf() {
  return token;
}

export function keepToken(text) {
  token = text;
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

/** Have `listener` called when the gateway asks for a token; returns how to stop that. */
export function onRefused(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function refused() {
  for (const listener of listeners) listener(Boolean(token));
}
