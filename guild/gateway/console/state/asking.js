// A request from this page: what is emitted for it, and its answer, which outlives a broken stream.

import { followUrl, requestUrl } from "../api/guild_api.js";
import { Problem } from "../api/http.js";
import { openStream } from "../api/stream.js";

/**
 * Ask, and hear of everything until it is over.
 *
 * @param body `{type, data, timeout_s, conversation?}`.
 * @param handlers `onAccepted({message_id, conversation})`, `onEmitted(item)`, `onAnswer(answer)`,
 *     `onProblem(problem)`; one of the last two comes last.
 * @returns {{close: function(): void}} Closing leaves the request alone: it goes on.
 */
export function ask(topic, body, handlers) {
  let accepted = null;
  const options = {
    method: "POST",
    body,
    headers: { "Idempotency-Key": keyOf() }, // asked again after a broken line, it runs once
    goesOnHidden: true,
    resumeAt: (response) => placeOf(response, accepted),
  };
  const stream = openStream(
    requestUrl(topic),
    {
      onEvent: ({ event, data }) => {
        if (event === "accepted") {
          accepted = data;
          handlers.onAccepted?.(data);
        } else if (event === "emitted") handlers.onEmitted(data);
        else if (event === "answer") handlers.onAnswer(data);
        else if (event === "problem") handlers.onProblem(new Problem(data));
      },
      isLast: ({ event }) => event === "answer" || event === "problem",
      onState: ({ state, problem }) => state === "ended" && problem && handlers.onProblem(problem),
    },
    options,
  );
  return stream;
}

/** Where the stream goes on after it broke off. */
function placeOf(response, accepted) {
  const place = response.headers.get("Location") ?? response.headers.get("Content-Location");
  if (place) return new URL(place, response.url);
  return accepted ? followUrl(accepted.message_id, { conversation: accepted.conversation }) : null;
}

function keyOf() {
  return `console ${[...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
