// Where in the console the page is: the part of the address behind #.

import { routeOf } from "../logic/route.js";
import { storeOf, useStore } from "./store.js";

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
