// A conversation as a tree: what followed from what.

import { isBad, receiversOf, treeOf } from "../logic/conversation.js";
import { State } from "./notice.js";
import { Text, TypeName } from "./text.js";
import { html } from "../vendor/htm-preact.js";

export function Tree({ steps, chosen, onChoose }) {
  return html`<${Branches} nodes=${treeOf(steps)} chosen=${chosen} onChoose=${onChoose} />`;
}

function Branches({ nodes, chosen, onChoose }) {
  return html`<ul class="tree">
    ${nodes.map(
      ({ step, children }) => html`<li>
        <button type="button" class="tree-step ${step.id === chosen ? "chosen" : ""} ${isBad(step.state) ? "bad" : ""}" aria-pressed=${step.id === chosen} onClick=${() => onChoose(step)}>
          <span class="soft">${step.number}</span> <${TypeName} value=${step.type} />
          <span class="soft"><${Text} value=${step.sender || "outside"} most=${60} /> → <${Text} value=${receiversOf(step).join(", ")} most=${80} /></span>
          <${State} value=${step.state} />
        </button>
        ${children.length > 0 && html`<${Branches} nodes=${children} chosen=${chosen} onChoose=${onChoose} />`}
      </li>`,
    )}
  </ul>`;
}
