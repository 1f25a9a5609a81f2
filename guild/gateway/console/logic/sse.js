// Server-sent events, as the HTML standard cuts a stream into them.

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
