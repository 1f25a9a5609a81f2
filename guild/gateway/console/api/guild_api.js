// The gateway's API and the experiments that it mounts beside it, each call by its name. The one
// place that knows its paths.

import { answered, get, post, urlOf } from "./http.js";
import { parseAnswer } from "../logic/json.js";

const PAGE = 200;
const MOST_DECIDED = 2000;

export const guild = (options) => get(["guild"], {}, options);
export const agents = (options) => get(["agents"], {}, options);
export const agent = (id, options) => get(["agents", id], {}, options);
export const topics = (options) => get(["topics"], {}, options);
export const graph = (options) => get(["graph"], {}, options);
export const schemas = (options) => get(["schemas"], {}, options);
export const schemaOf = (type, options) => get(["schemas", type], {}, options);

export const pause = (id) => post(["agents", id, "pause"]);
export const resume = (id) => post(["agents", id, "resume"]);
export const drain = (id, timeoutS) => post(["agents", id, "drain"], { timeout_s: timeoutS });

export const publish = (topic, body, headers) => post(["topics", topic, "messages"], body, { headers });
export const publishUrl = (topic) => urlOf(["topics", topic, "messages"]);
export const requestUrl = (topic) => urlOf(["topics", topic, "requests"]);
export const followUrl = (messageId, query) => urlOf(["requests", messageId], query);
export const cancel = (id, reason) => post(["requests", id, "cancel"], { reason });

export const letters = (wanted, options) => get(["dead-letters"], wanted, options);
export const letterGroups = (by, options) => get(["dead-letters", "groups"], { by }, options);
export const letter = (id, options) => get(["dead-letters", id], {}, options);
export const requeue = (id, change) => post(["dead-letters", id, "requeue"], change);
export const requeueAll = (wanted, really) =>
  post(["dead-letters", "requeue"], { ...said(wanted), really });
export const dropAll = (wanted, reason, really) =>
  post(["dead-letters", "drop"], { ...said(wanted), reason, really });
export const drop = (id, reason) => post(["dead-letters", id, "drop"], { reason });

export const conversation = (id, options) => get(["conversations", id], {}, options);
export const messagesUrl = (wanted) => urlOf(["messages"], wanted);
export const messagesHeld = (wanted, count, options) => get(["messages"], { ...wanted, follow: false, count }, options);
export const liveUrl = () => urlOf(["live"]);

export const approvals = (state, options) => get(["approvals"], { state }, options);
/** All that were decided and are kept, the oldest first, page by page. */
export async function decidedApprovals(options) {
  const all = [];
  for (let after = ""; ; after = all.at(-1).id) {
    const page = await get(["approvals"], { state: "decided", after, count: PAGE }, options);
    all.push(...page);
    if (page.length < PAGE || all.length >= MOST_DECIDED) return all;
  }
}

export const approve = (id, reason, option) => post(["approvals", id, "approve"], { reason, option: option || undefined });
export const reject = (id, reason) => post(["approvals", id, "reject"], { reason });

/** Without what is "". */
function said(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
}

// The experiments that a gateway mounts beside its API, each call by its name.

const PLACE = new URL("experiments/", document.baseURI);
const PATIENCE_MS = 60_000; // with one read

export const studies = (options) => read(["studies"], {}, options);
export const study = (name, options) => read(["studies", name], {}, options);
export const trial = (id, options) => read(["trials", id], {}, options);
/** Records behind number `after` of the series `of`; from its first where that is another by now. */
export const curves = (id, after, of, options) => read(["trials", id, "curves"], { after, of }, options);

async function read(path, query, { signal } = {}) {
  const url = new URL(path.map(encodeURIComponent).join("/"), PLACE);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  const late = AbortSignal.timeout(PATIENCE_MS);
  const response = await answered("GET", url, { signal: signal ? AbortSignal.any([signal, late]) : late });
  return parseAnswer(await response.text());
}
