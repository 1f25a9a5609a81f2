// What agents ask before they do it, and what was decided.

import { approvals as readApprovals, approve, decidedApprovals, reject } from "../api/guild_api.js";
import { dateOf, shortId } from "../logic/format.js";
import { visible } from "../logic/json.js";
import { Confirm, Empty, Loaded, Page, State } from "../parts/page.js";
import { Table } from "../parts/table.js";
import { ConversationLink, Distance, Json, Text, Time } from "../parts/text.js";
import { useEvery, useLoad } from "../state/load.js";
import { has, useGuild } from "../state/store.js";
import { html, useEffect, useState } from "../vendor/htm-preact.js";

export default function Approvals() {
  const { guild } = useGuild();
  return has(guild, "approvals") ? html`<${All} />` : html`<${NoDesk} />`;
}

function NoDesk() {
  return html`<${Page} title="Approvals">
    <${Empty} title="This guild has no desk for approvals."><p>Add an agent of the type <code>agents.approvals.agent:ApprovalsAgent</code> to its spec; agents that ask before they act send their requests there.</p><//>
  <//>`;
}

function All() {
  const found = useLoad((options) => readApprovals("open", options), []);
  const decided = useLoad(decidedApprovals, []);
  const reload = () => {
    found.reload();
    decided.reload();
  };
  useEvery(5, found.reload, []);
  const lying = found.value?.map(({ id }) => id).join();
  useEffect(() => decided.reload(), [lying]); // one that lies there no more was decided
  return html`<${Page} title="Approvals" className="narrow" lead="What agents ask before they do it. What is not decided in time is decided by its default.">
    <${Loaded} load=${found}>
      ${(open) => html`<section class="stack" aria-label="To be decided">
        ${open.length
          ? open.map((approval) => html`<${Open} key=${approval.id} approval=${approval} onDone=${reload} />`)
          : html`<${Empty} title="Nothing waits for a decision."><p>Requests for approval are listed here as they come.</p><//>`}
      </section>`}
    <//>
    ${decided.value?.length > 0 && html`<section class="stack"><h2>Decided</h2><${Table} label="Decided" columns=${DECIDED} rows=${lately(decided.value)} keyOf=${(approval) => approval.id} /></section>`}
  <//>`;
}

const MOST_DECIDED = 100;

/** The latest decision first. */
function lately(decided) {
  return [...decided].sort((one, other) => dateOf(other.decision.at) - dateOf(one.decision.at)).slice(0, MOST_DECIDED);
}

const DECIDED = [
  { title: "What", isMain: true, cell: ({ request }) => html`<${Text} value=${request.what} most=${200} />` },
  { title: "Decision", cell: ({ decision }) => html`<${State} value=${decision.is_withdrawn ? "withdrawn" : decision.approved ? "approved" : "rejected"} />` },
  { title: "By", cell: ({ decision }) => (decision.is_default ? "its default, in time" : decision.is_withdrawn && !decision.by ? "–" : html`<${Text} value=${decision.by} most=${60} />`) },
  { title: "At", cell: ({ decision }) => html`<${Time} at=${decision.at} />` },
  { title: "Asked", cell: (approval) => html`<${Time} at=${approval.asked_at} />` },
  { title: "Conversation", cell: (approval) => html`<${ConversationLink} id=${approval.conversation} />` },
  { title: "Reason", cell: ({ decision: { option, reason } }) => (option || reason) && html`<${Text} value=${[option, reason].filter(Boolean).join("; ")} most=${200} />` },
];

function Open({ approval, onDone }) {
  const { may } = useGuild();
  const [asked, setAsked] = useState("");
  const { request } = approval;
  const title = `approval-${approval.id}`;
  return html`<article class="panel stack" aria-labelledby=${title}>
    <div class="row spread"><h2 id=${title}><${Text} value=${request.what} most=${1000} /></h2> <${Mark} approval=${approval} /></div>
    ${request.why && html`<p class="said"><${Text} value=${request.why} most=${8000} /></p>`}
    ${Object.keys(request.details ?? {}).length > 0 && html`<${Json} value=${request.details} label="Details" />`}
    <dl class="facts">
      <dt>Asked by</dt><dd><${Text} value=${[approval.asker || "outside", request.asked_by && `for ${request.asked_by}`].filter(Boolean).join(", ")} most=${200} /></dd>
      <dt>Decide</dt><dd><${Distance} at=${approval.deadline} />, else it is <b>${request.default === "approve" ? "approved" : "rejected"}</b></dd>
      <dt>Conversation</dt><dd><${ConversationLink} id=${approval.conversation} /></dd>
    </dl>
    ${may("approve")
      ? html`<div class="row">
          ${(request.options?.length ? request.options : [""]).map(
            (option) => html`<button class="primary" type="button" onClick=${() => setAsked({ act: "approve", option })}>${option ? html`Approve: <${Text} value=${option} most=${80} />` : "Approve"}</button>`,
          )}
          <button type="button" onClick=${() => setAsked({ act: "reject" })}>Reject</button>
        </div>`
      : html`<p class="hint">Your token may not decide; it needs the scope <code>approve</code>.</p>`}
    ${asked && html`<${AskDecision} approval=${approval} asked=${asked} onDone=${onDone} onClose=${() => setAsked("")} />`}
  </article>`;
}

/** Tells apart what was asked in the same words. */
function Mark({ approval }) {
  return html`<span class="soft" title=${visible(approval.id)}><span class="id">${visible(shortId(approval.id))}</span>, <${Time} at=${approval.asked_at} /></span>`;
}

function AskDecision({ approval, asked, onDone, onClose }) {
  const isApproval = asked.act === "approve";
  const act = async ({ reason }) => {
    await (isApproval ? approve(approval.id, reason, asked.option) : reject(approval.id, reason));
    onDone();
    return isApproval ? "It is approved." : "It is rejected.";
  };
  return html`<${Confirm} title=${isApproval ? "Approve this?" : "Reject this?"} button=${isApproval ? "Approve" : "Reject"} isDangerous=${!isApproval} act=${act} asks=${{ reason: "Reason (kept, and told to the agent)" }} onClose=${onClose}>
    <p><${Text} value=${approval.request.what} most=${1000} /> <${Mark} approval=${approval} /></p>
    ${asked.option && html`<p>Chosen: <b><${Text} value=${asked.option} /></b></p>`}
    <p>${isApproval ? "The agent goes on at once." : "The agent is told, and does not do it."} A decision cannot be taken back; your name is kept with it.</p>
  <//>`;
}
