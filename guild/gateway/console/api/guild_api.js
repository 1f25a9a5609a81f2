// The gateway's API, each call by its name. The one place that knows its paths.

import { get, post, urlOf } from "./http.js";

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
export const drop = (id, reason) => post(["dead-letters", id, "drop"], { reason });

export const conversation = (id, options) => get(["conversations", id], {}, options);
export const messagesUrl = (wanted) => urlOf(["messages"], wanted);
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
