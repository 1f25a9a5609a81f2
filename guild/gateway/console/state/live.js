// The one stream of `/live`, shared by all that look at it and closed when none does.

import { liveUrl } from "../api/guild_api.js";
import { openStream } from "../api/stream.js";
import { applied, NOTHING } from "../logic/live_state.js";
import { storeOf, useStore } from "./store.js";
import { useEffect } from "../vendor/htm-preact.js";

export const live = storeOf(NOTHING);
export const connection = storeOf({ state: "idle" });

let viewers = 0;
let stream = null;

function begin() {
  stream = openStream(liveUrl(), {
    onEvent: (event) => live.set(applied(live.get(), event)),
    onState: (state) => connection.set(state),
  });
}

/** Begin anew, with another token for one. */
export function restartLive() {
  stream?.close();
  stream = null;
  if (viewers) begin();
}

export function useLive() {
  useEffect(() => {
    viewers += 1;
    if (!stream) begin();
    return () => {
      viewers -= 1;
      queueMicrotask(() => {
        if (viewers || !stream) return; // the next view has taken it over
        stream.close();
        stream = null;
        connection.set({ state: "idle" });
        live.set({ ...live.get(), problem: "" });
      });
    };
  }, []);
  return useStore(live);
}
