// Server-sent events, as the HTML standard cuts a stream into them, and when one that broke off is
// tried again.

/** A parser that is fed with text as it comes, and calls `onEvent({event, id, data})`. */
export class EventParser {
  #buffer = "";
  #event = "";
  #data = [];
  #onEvent;
  #afterReturn = false;

  constructor(onEvent) {
    this.#onEvent = onEvent;
    this.lastEventId = "";
    this.retryMs = undefined;
  }

  feed(text) {
    this.#buffer += this.#afterReturn && text[0] === "\n" ? text.slice(1) : text;
    if (text) this.#afterReturn = text.endsWith("\r");
    const lines = this.#buffer.split(/\r\n|\n|\r/);
    this.#buffer = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (!line) return this.#dispatch();
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.lastEventId = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch() {
    const [event, data] = [this.#event || "message", this.#data];
    [this.#event, this.#data] = ["", []];
    if (data.length) this.#onEvent({ event, id: this.lastEventId, data: data.join("\n") });
  }
}

// How long to wait before the next try: twice as long each time, and never all at the same moment.

const FIRST_S = 0.5;
const MOST_S = 30;

/**
 * @param failures how many tries in a row failed, from 1.
 * @param random between 0 and 1.
 * @param askedFor seconds that the server asked for.
 */
export function waitOf(failures, random = Math.random(), askedFor = 0) {
  const full = Math.min(MOST_S, FIRST_S * 2 ** Math.min(failures - 1, 10));
  return Math.max(askedFor, full * (0.5 + random / 2));
}
