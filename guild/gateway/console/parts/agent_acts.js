// Pause, resume and drain, each after it is said what will happen.

import { drain, pause, resume } from "../api/guild_api.js";
import { many } from "../logic/format.js";
import { useAct } from "../state/act.js";
import { useGuild } from "../state/guild.js";
import { html, useState } from "../vendor/htm-preact.js";
import { Confirm } from "./dialog.js";
import { ProblemNotice } from "./notice.js";

export function AgentActs({ agent, onDone }) {
  const { may } = useGuild();
  const [asked, setAsked] = useState("");
  const resuming = useAct(async () => {
    await resume(agent.agent);
    onDone();
    return `${agent.agent} goes on.`;
  });
  if (!may("operate")) return null;
  const isPaused = agent.state.includes("paused");
  return html`<div class="row">
    ${isPaused
      ? html`<button type="button" disabled=${resuming.isBusy} onClick=${resuming.run}>Resume<span class="unseen"> ${agent.agent}</span></button>`
      : html`<button type="button" onClick=${() => setAsked("pause")}>Pause<span class="unseen"> ${agent.agent}</span></button>
          <button type="button" onClick=${() => setAsked("drain")}>Drain<span class="unseen"> ${agent.agent}</span></button>`}
    <${ProblemNotice} problem=${resuming.problem} />
    ${asked === "pause" && html`<${AskPause} agent=${agent} onDone=${onDone} onClose=${() => setAsked("")} />`}
    ${asked === "drain" && html`<${AskDrain} agent=${agent} onDone=${onDone} onClose=${() => setAsked("")} />`}
  </div>`;
}

function AskPause({ agent, onDone, onClose }) {
  const act = async () => {
    await pause(agent.agent);
    onDone();
    return `${agent.agent} is paused until it is resumed.`;
  };
  return html`<${Confirm} title=${`Pause ${agent.agent}?`} button="Pause" act=${act} onClose=${onClose}>
    <p>No replica of it, in any process, begins another message until it is resumed. What runs comes to its end.</p>
    <p>Nothing is lost: what is sent to it meanwhile waits. When its topics are full, senders are refused.</p>
  <//>`;
}

function AskDrain({ agent, onDone, onClose }) {
  const act = async ({ seconds }) => {
    const { in_hand: left } = await drain(agent.agent, seconds);
    onDone();
    return left
      ? `${agent.agent} is paused; ${many(left, "message")} of it still ran after ${seconds} s.`
      : `${agent.agent} is drained, and paused until it is resumed.`;
  };
  const asks = { seconds: "Wait at most, in seconds" };
  return html`<${Confirm} title=${`Drain ${agent.agent}?`} button="Drain" act=${act} asks=${asks} onClose=${onClose}>
    <p>It is paused, and this waits until no replica has a message of it in hand. It stays paused afterwards, until it is resumed.</p>
  <//>`;
}
