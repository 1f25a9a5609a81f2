// Where in the console the page is: the part of the address behind #, `#/messages?topic=orders`.

import { storeOf, useStore } from "./store.js";

/** @returns {{view: string, rest: string[], query: Object<string, string>}} */
export function routeOf(hash) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const [view, ...rest] = path.split("/").map(decoded);
  return { view, rest: rest.filter(Boolean), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a view; what is "" or undefined in `query` is left out. */
export function href(path, query = {}) {
  const told = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(told.map(([key, value]) => [key, String(value)])).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search && `?${search}`}`;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand
  }
}

const route = storeOf(routeOf(location.hash));

addEventListener("hashchange", () => route.set(routeOf(location.hash)));

export const useRoute = () => useStore(route);

/** Go to an address of `href`; with `isQuiet`, without a step to come back to. */
export function go(address, { isQuiet = false } = {}) {
  if (!isQuiet) {
    location.hash = address;
    return;
  }
  history.replaceState(history.state, "", address);
  route.set(routeOf(location.hash));
}
