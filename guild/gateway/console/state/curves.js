// The curves of a trial: read from its beginning, then once a second what is new, while it runs and
// the page is seen.

import { curves as readCurves } from "../api/guild_api.js";
import { nothing, withRecords } from "../logic/curves.js";
import { waitOf } from "../logic/sse.js";
import { useEffect, useState } from "../vendor/htm-preact.js";

const EVERY_MS = 1000;
const NONE = { told: nothing(), isLoading: true, isOver: false, problem: null };

/**
 * @param startedAt when the trial was begun: it is read anew when it is begun again.
 * @returns {{told, isLoading, isOver, problem}} of the trial `id`; nothing of the trial "".
 */
export function useCurves(id, startedAt) {
  const [found, setFound] = useState(NONE);
  useEffect(() => {
    setFound(NONE);
    if (!id) return undefined;
    const reader = new Reader(id, setFound);
    reader.start();
    return () => reader.close();
  }, [id, startedAt]);
  return found;
}

class Reader {
  #id;
  #show;
  #told = nothing();
  #next = 0;
  #of = "";
  #failures = 0;
  #timer = 0;
  #abort = null;
  #isOver = false;

  constructor(id, show) {
    this.#id = id;
    this.#show = show;
  }

  start() {
    document.addEventListener("visibilitychange", this.#seen);
    this.#read();
  }

  close() {
    document.removeEventListener("visibilitychange", this.#seen);
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#isOver = true;
  }

  #seen = () => {
    if (document.visibilityState === "hidden") clearTimeout(this.#timer);
    else if (!this.#abort && !this.#isOver) this.#read();
  };

  async #read() {
    clearTimeout(this.#timer);
    const abort = (this.#abort = new AbortController());
    let waitMs = EVERY_MS;
    try {
      const answer = await readCurves(this.#id, this.#next, this.#of, { signal: abort.signal });
      if (abort.signal.aborted) return;
      this.#take(answer);
      if (answer.is_more) waitMs = 0;
    } catch (problem) {
      if (abort.signal.aborted) return;
      this.#failures += 1;
      waitMs = waitOf(this.#failures, Math.random(), problem.retryAfterS) * 1000;
      if (problem.status === 404) this.#isOver = true;
      this.#tell(problem);
    }
    this.#abort = null;
    if (!this.#isOver && document.visibilityState !== "hidden") this.#timer = setTimeout(() => this.#read(), waitMs);
  }

  #take({ records, of, next, is_over: isOver }) {
    this.#failures = 0;
    if (of !== this.#of) this.#told = nothing(); // it was begun anew, or has ended
    this.#told = withRecords(this.#told, records);
    this.#of = of;
    this.#next = next;
    this.#isOver = isOver;
    this.#tell(null);
  }

  #tell(problem) {
    this.#show({ told: { ...this.#told }, isLoading: false, isOver: this.#isOver, problem });
  }
}
