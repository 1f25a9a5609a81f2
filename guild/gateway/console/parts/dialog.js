// Asks before something is done: says what will happen, and takes a reason where one is wanted.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { useAct } from "../state/act.js";
import { ProblemNotice } from "./notice.js";

/**
 * @param act called with `{reason, seconds}`; its text is announced, and the dialog closes.
 * @param asks `{reason: "label", needsReason: true, seconds: "label"}`: what is asked for besides.
 */
export function Confirm({ title, button, isDangerous, asks = {}, act, onClose, children }) {
  const dialog = useRef(null);
  const [reason, setReason] = useState("");
  const [seconds, setSeconds] = useState("60");
  const doing = useAct(act);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    if (await doing.run({ reason, seconds: Number(seconds) })) dialog.current?.close();
  };
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${onClose}>
    <form onSubmit=${submit}>
      <h2 id="dialog-title">${title}</h2>
      <div class="dialog-text">${children}</div>
      ${asks.reason &&
      html`<label class="field"
        ><span class="label">${asks.reason}</span>
        <input value=${reason} maxlength="2000" required=${Boolean(asks.needsReason)} onInput=${(event) => setReason(event.target.value)} />
      </label>`}
      ${asks.seconds &&
      html`<label class="field"
        ><span class="label">${asks.seconds}</span>
        <input type="number" min="1" max="3600" required value=${seconds} onInput=${(event) => setSeconds(event.target.value)} />
      </label>`}
      <${ProblemNotice} problem=${doing.problem} />
      <div class="dialog-buttons">
        <button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
        <button class=${isDangerous ? "danger" : "primary"} disabled=${doing.isBusy}>${doing.isBusy ? "Working …" : button}</button>
      </div>
    </form>
  </dialog>`;
}
