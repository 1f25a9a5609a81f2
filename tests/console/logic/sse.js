import { waitOf } from "/logic/sse.js";
import { EventParser } from "/logic/sse.js";
import { equal } from "./checks.js";

const STREAM = "\uFEFF: hello\nid: 7\nevent: rows\ndata: {\ndata:}\n\nretry: 1500\r\nid\r\ndata: x\r\n\r\ndata: lost";

function eventsIn(text, size) {
  const events = [];
  const parser = new EventParser((event) => events.push(event));
  for (let at = 0; at < text.length; at += size) parser.feed(text.slice(at, at + size));
  return { events, parser };
}

export function test_a_stream_means_the_same_however_it_is_cut() {
  for (let size = 1; size <= STREAM.length; size++) {
    equal(eventsIn(STREAM, size).events, [
      { event: "rows", id: "7", data: "{\n}" },
      { event: "message", id: "", data: "x" },
    ]);
  }
}

export function test_what_was_not_ended_is_no_event() {
  equal(eventsIn("data: a\ndata: b\n", 3).events, []);
}

export function test_the_wait_grows_to_half_a_minute_and_is_never_shorter_than_asked_for() {
  equal([1, 2, 3, 99].map((failures) => waitOf(failures, 1)), [0.5, 1, 2, 30]);
  equal(waitOf(1, 0), 0.25);
  equal(waitOf(1, 0, 7), 7);
}
