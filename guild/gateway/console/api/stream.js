// A stream of server-sent events that comes back by itself, rests while the page is hidden, and
// sends the token in a header, which EventSource cannot.

import { answered, Problem } from "./http.js";
import { parseAnswer } from "../logic/json.js";
import { EventParser, waitOf } from "../logic/sse.js";

export const HIDDEN_FOR_MS = 5_000; // browsers keep six connections to a gateway, for all tabs together
const SILENT_FOR_MS = 60_000; // the gateway says something every 15 s: a line that broke may not say so
const REST = { state: "resting" };

/**
 * Events of `url`, until it is closed.
 *
 * @param handlers `onEvent({event, id, data})`, `onState({state, problem?, waitS?})` with the state
 *     `connecting`, `open`, `waiting`, `resting` or `ended`; `isLast(event)` says that there is no
 *     more to come; `isFinal(problem)` that another try is of no use.
 * @param options `{method, body, headers}` of the first call; it is made again as a GET of
 *     `resumeAt(response)`, where that is given.
 * @returns {{close: function(): void}}
 */
export function openStream(url, handlers, options = {}) {
  const stream = new Stream(url, handlers, options);
  stream.start();
  return { close: () => stream.close() };
}

class Stream {
  #url;
  #handlers;
  #options;
  #lastEventId = "";
  #failures = 0;
  #abort = null;
  #timer = 0;
  #hiding = 0;
  #silence = 0;
  #isClosed = false;

  constructor(url, handlers, options) {
    this.#url = url;
    this.#handlers = handlers;
    this.#options = options;
  }

  start() {
    document.addEventListener("visibilitychange", this.#seen);
    if (document.visibilityState === "hidden" && !this.#options.body) this.#rest();
    else this.#connect();
  }

  close() {
    this.#isClosed = true;
    document.removeEventListener("visibilitychange", this.#seen);
    this.#stop();
  }

  #stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#hiding);
    clearTimeout(this.#silence);
    this.#abort?.abort();
    this.#abort = null;
  }

  #seen = () => {
    clearTimeout(this.#hiding);
    if (document.visibilityState === "hidden") {
      if (!this.#options.goesOnHidden) this.#hiding = setTimeout(() => this.#rest(), HIDDEN_FOR_MS);
    } else if (!this.#abort) {
      this.#failures = 0;
      this.#connect();
    }
  };

  #rest() {
    this.#stop();
    this.#handlers.onState?.(REST);
  }

  #heard(abort) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      abort.abort();
      this.#again(abort, new Problem({ detail: "Nothing has come for a minute." }));
    }, SILENT_FOR_MS);
  }

  async #connect() {
    clearTimeout(this.#timer);
    const abort = (this.#abort = new AbortController());
    this.#handlers.onState?.({ state: "connecting" });
    this.#heard(abort);
    try {
      await this.#read(abort);
      if (!abort.signal.aborted) this.#again(abort, new Problem({ detail: "The stream was closed." }));
    } catch (error) {
      if (!abort.signal.aborted) this.#again(abort, error);
    }
  }

  async #read(abort) {
    const { signal } = abort;
    const { method = "GET", body, headers = {}, resumeAt } = this.#options;
    const told = { ...headers, Accept: "text/event-stream" };
    if (this.#lastEventId) told["Last-Event-ID"] = this.#lastEventId;
    const response = await answered(method, this.#url, { body, headers: told, signal });
    const place = resumeAt?.(response);
    if (place) [this.#url, this.#options] = [place, { ...this.#options, method: "GET", body: undefined }];
    this.#handlers.onState?.({ state: "open" });
    const parser = new EventParser((event) => this.#take(event));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      this.#heard(abort);
      parser.feed(value);
    }
  }

  #take({ event, id, data }) {
    this.#failures = 0;
    if (id) this.#lastEventId = id;
    const told = { event, id, data: parseAnswer(data) };
    if (this.#isClosed) return;
    this.#handlers.onEvent(told);
    if (this.#handlers.isLast?.(told)) this.#end({ state: "ended" });
  }

  #end(state) {
    this.close();
    this.#handlers.onState?.(state);
  }

  #again(abort, error) {
    this.#abort = null;
    clearTimeout(this.#silence);
    const problem = error instanceof Problem ? error : new Problem({ detail: "The stream broke off." });
    if (isHopeless(problem) || this.#handlers.isFinal?.(problem)) {
      this.#end({ state: "ended", problem });
      return;
    }
    if (problem.status === 410) this.#lastEventId = ""; // that place is not kept any more
    this.#failures += 1;
    const waitS = waitOf(this.#failures, Math.random(), problem.retryAfterS);
    this.#handlers.onState?.({ state: "waiting", problem, waitS });
    this.#timer = setTimeout(() => this.#connect(), waitS * 1000);
  }
}

/** What the gateway will not see differently the next time; 401 asks for a token first. */
function isHopeless({ status }) {
  return status >= 400 && status < 500 && ![408, 410, 425, 429].includes(status);
}
