// A form for any JSON schema. The value is plain JSON; a field that is undefined is left out.

import { cut, isSame, numberOf, parse, render, visible } from "../logic/json.js";
import { emptyOf, fallbackOf, isObject, limitsOf, optionOf, partsOf, resolved, shapeOf, titleOf } from "../logic/schema.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";

const MOST_ITEMS = 100;

/**
 * @param field `{name, schema, isRequired}`.
 * @param path names and indices up to here, joined by dots: the gateway's problems name fields so.
 * @param problems sentences by path.
 */
export function Field({ field, value, onChange, root, path, depth = 0, problems, isBare }) {
  const shape = shapeOf(field.schema, root, depth);
  const label = field.name ?? shape.title ?? "Value";
  if (field.hint && !field.schema.description) shape.description = field.hint;
  const told = { shape, value, onChange, root, path, depth, problems, label, isBare, isRequired: field.isRequired };
  if (value === undefined && !field.isRequired && isNested(shape)) return html`<${LeftOut} ...${told} />`;
  const Control = CONTROLS[shape.kind];
  return html`<${Control} ...${told} />`;
}

const isNested = ({ kind }) => ["object", "map", "array", "tuple", "union", "json"].includes(kind);

function Label({ label, isRequired, shape }) {
  return html`<span class="label">${visible(label)}${isRequired && !shape.isNullable ? html` <span class="needed">needed</span>` : ""}</span>`;
}

function Hints({ shape, path, problems, isRequired, id }) {
  const rest = isRequired || !fallbackOf(shape) ? "" : `left empty: ${fallbackOf(shape)}`;
  const told = [cut(partsOf(shape.description).text, 240).replace(/\.$/, ""), limitsOf(shape), rest];
  const hint = told.filter(Boolean).join("; ");
  if (!hint && !problems[path]) return null;
  return html`<span class="hints" id=${id}>
    ${hint && html`<span class="hint">${visible(hint)}</span>`}
    ${problems[path] && html`<span class="field-problem" role="alert">${visible(problems[path])}</span>`}
  </span>`;
}

/** One control with its label and hints. */
function Plain(props) {
  const { children, path, problems } = props;
  return html`<label class="field">
    <${Label} ...${props} />
    ${children}
    <${Hints} ...${props} id=${`hint-${path}`} />
  </label>`;
}

const described = ({ path, problems }) => ({
  "aria-describedby": `hint-${path}`,
  "aria-invalid": problems[path] ? "true" : undefined,
});

function TextControl(props) {
  const { shape, value, onChange, isRequired } = props;
  const change = (event) => onChange(emptied(event.target.value, shape, isRequired));
  const told = { value: value ?? "", onInput: change, ...described(props) };
  const mayBeEmpty = isRequired && !shape.schema.minLength && (value === undefined || value === null) && props.problems[props.path];
  return html`<div class="stack tight"><${Plain} ...${props}>
    ${shape.isLong ? html`<textarea rows="3" ...${told}></textarea>` : html`<input type=${shape.schema.format === "password" ? "password" : "text"} autocomplete="off" spellcheck=${false} ...${told} />`}
  <//>${mayBeEmpty && html`<div><button type="button" class="quiet" onClick=${() => onChange("")}>Send an empty text<span class="unseen"> as ${visible(props.label)}</span></button></div>`}
  ${value === "" && isRequired && html`<p class="hint">It is sent as an empty text.</p>`}</div>`;
}

/** An empty text is null where that is taken, else it is left out: it is sent when that is asked for. */
function emptied(text, shape, isRequired) {
  if (text !== "") return text;
  return isRequired && shape.isNullable ? null : undefined;
}

function NumberControl(props) {
  const { shape, value, onChange, isRequired } = props;
  const [text, setText] = useState(value === undefined || value === null ? "" : String(value));
  const isWrong = text.trim() !== "" && numberOf(text, { whole: shape.kind === "integer" }) === undefined;
  useEffect(() => {
    const shown = numberOf(text);
    if (!isSame(shown, value ?? undefined)) setText(value === undefined || value === null ? "" : String(value));
  }, [value]);
  const change = (event) => {
    setText(event.target.value);
    const number = numberOf(event.target.value, { whole: shape.kind === "integer" });
    onChange(number ?? (isRequired && shape.isNullable ? null : undefined));
  };
  const problems = isWrong
    ? { ...props.problems, [props.path]: `${text} is not ${shape.kind === "integer" ? "a whole number" : "a number"}` }
    : props.problems;
  const told = { ...props, problems };
  return html`<${Plain} ...${told}><input ref=${useValidity(isWrong ? problems[props.path] : "")} inputmode="decimal" value=${text} onInput=${change} ...${described(told)} /><//>`;
}

/** A choice of values; nothing chosen leaves the field out. */
function Choice(props) {
  const { values, value, onChange, isRequired, shape } = props;
  const chosen = values.findIndex((each) => isSame(each, value ?? null) && value !== undefined);
  const empty = isRequired && !shape.isNullable ? "choose …" : "–";
  const change = (event) => {
    const index = Number(event.target.value);
    onChange(index < 0 ? (isRequired && shape.isNullable ? null : undefined) : values[index]);
  };
  return html`<${Plain} ...${props}>
    <select value=${chosen} onChange=${change} ...${described(props)}>
      <option value="-1" selected=${chosen < 0}>${empty}</option>
      ${values.map((each, index) => html`<option value=${index} selected=${index === chosen}>${typeof each === "string" ? visible(each) : render(each)}</option>`)}
    </select>
  <//>`;
}

const EnumControl = (props) => html`<${Choice} ...${props} values=${props.shape.values} />`;
const BooleanControl = (props) => html`<${Choice} ...${props} values=${[true, false]} />`;

/** There is nothing to choose: it is in the value from the start. */
const ConstControl = () => null;

const NullControl = (props) => html`<p class="field"><${Label} ...${props} /><code>null</code></p>`;

/** What is nested stands in a group with a name. */
function Group({ label, shape, path, problems, isRequired, onChange, children, value }) {
  return html`<fieldset class="group">
    <legend>${visible(label)}${isTelling(shape.title, label) && html` <span class="needed">${visible(shape.title)}</span>`}
      ${!isRequired && html` <button type="button" class="quiet" onClick=${() => onChange(undefined)}>Leave out<span class="unseen"> ${visible(label)}</span></button>`}
    </legend>
    <${Hints} shape=${shape} path=${path} problems=${problems} isRequired=${true} id=${`hint-${path}`} />
    ${children}
  </fieldset>`;
}

/** Whether a title says more than the name it was made from. */
function isTelling(title, label) {
  const plain = (text) => text.toLowerCase().replaceAll(/[\s_]/g, "");
  return Boolean(title) && plain(title) !== plain(label);
}

function LeftOut({ shape, label, root, depth, onChange, path, problems }) {
  const start = () => onChange(shape.fallback ?? startOf(shape, root, depth));
  return html`<div class="field">
    <span class="label">${visible(label)}</span>
    <div class="row">
      <button type="button" onClick=${start}>Set<span class="unseen"> ${visible(label)}</span></button>
      <span class="hint">${fallbackOf(shape) ? `left out: ${visible(fallbackOf(shape))}` : "left out"}</span>
    </div>
    <${Hints} shape=${{ ...shape, fallback: undefined }} path=${path} problems=${problems} id=${`hint-${path}`} />
  </div>`;
}

/** What something begins with that was left out until now. */
function startOf(shape, root, depth) {
  if (shape.kind === "array" && !shape.least) return [];
  const { default: _default, ...schema } = shape.schema;
  if (shape.isNullable && shape.kind !== "union") return emptyOf(onlyOption(schema), root, depth) ?? {};
  return emptyOf(schema, root, depth) ?? {};
}

function onlyOption(schema) {
  const { anyOf, oneOf, ...rest } = schema;
  const options = (anyOf ?? oneOf ?? []).filter((option) => option.type !== "null");
  return options[0] ?? rest;
}

function ObjectControl(props) {
  const { shape, value, onChange, root, path, depth, problems } = props;
  const fields = isObject(value) ? value : {};
  const change = (name, next) => onChange({ ...fields, [name]: next });
  const body = shape.fields.map(
    (field) => html`<${Field} key=${field.name} field=${field} value=${fields[field.name]} root=${root} depth=${depth + 1}
      path=${joined(path, field.name)} problems=${problems} onChange=${(next) => change(field.name, next)} />`,
  );
  if (!path || props.isBare) return html`<div class="stack">${body.length ? body : html`<p class="hint">This message has no fields.</p>`}</div>`;
  return html`<${Group} ...${props}>${body}<//>`;
}

function ArrayControl(props) {
  const { shape, value, onChange, root, path, depth, problems, label } = props;
  const items = Array.isArray(value) ? value : [];
  const last = useRef(null);
  const add = () => {
    onChange([...items, emptyOf(shape.items, root, depth + 1) ?? null]);
    setTimeout(() => last.current?.querySelector(".item:last-of-type :is(input, select, textarea)")?.focus());
  };
  const set = (index, next) => onChange(items.map((each, at) => (at === index ? (next ?? null) : each)));
  const removeAt = (index) => onChange(items.filter((_, at) => at !== index));
  return html`<${Group} ...${props}>
    <div class="stack" ref=${last}>
      ${items.slice(0, MOST_ITEMS).map(
        (item, index) => html`<div class="item">
          <${Field} field=${{ name: `${label} ${index + 1}`, schema: shape.items, isRequired: true }} value=${item} root=${root}
            depth=${depth + 1} path=${joined(path, index)} problems=${problems} onChange=${(next) => set(index, next)} />
          <button type="button" onClick=${() => removeAt(index)}>Remove<span class="unseen"> ${visible(label)} ${index + 1}</span></button>
        </div>`,
      )}
      ${items.length > MOST_ITEMS && html`<p class="hint">${items.length - MOST_ITEMS} more are in the JSON.</p>`}
      <div><button type="button" disabled=${items.length >= Math.min(shape.most, MOST_ITEMS)} onClick=${add}>Add<span class="unseen"> to ${visible(label)}</span></button></div>
    </div>
  <//>`;
}

function TupleControl(props) {
  const { shape, value, onChange, root, path, depth, problems } = props;
  const items = Array.isArray(value) ? value : [];
  return html`<${Group} ...${props}>
    ${shape.items.map(
      (schema, index) => html`<${Field} field=${{ name: `${index + 1}`, schema, isRequired: true }} value=${items[index]} root=${root} depth=${depth + 1}
        path=${joined(path, index)} problems=${problems}
        onChange=${(next) => onChange(shape.items.map((_, at) => (at === index ? next : items[at]) ?? null))} />`,
    )}
  <//>`;
}

function MapControl(props) {
  const { shape, value, onChange, root, path, depth, problems, label } = props;
  const entries = Object.entries(isObject(value) ? value : {});
  const put = (next) => onChange(Object.fromEntries(next));
  const freeKey = () => {
    for (let number = 1; ; number++) if (!entries.some(([key]) => key === `key${number}`)) return `key${number}`;
  };
  const add = () => put([...entries, [freeKey(), emptyOf(shape.values, root, depth + 1) ?? null]]);
  const rename = (index, key) => {
    if (entries.some(([other], at) => other === key && at !== index)) return; // two of one name are one
    put(entries.map((entry, at) => (at === index ? [key, entry[1]] : entry)));
  };
  return html`<${Group} ...${props}>
    ${entries.slice(0, MOST_ITEMS).map(
      ([key, item], index) => html`<div class="item pair">
        <label class="field"><span class="label">Name</span><input value=${key} spellcheck=${false} onChange=${(event) => rename(index, event.target.value)} /></label>
        <${Field} field=${{ name: visible(key) || "Value", schema: shape.values, isRequired: true }} value=${item} root=${root} depth=${depth + 1}
          path=${joined(path, key)} problems=${problems} onChange=${(next) => put(entries.map((entry, at) => (at === index ? [key, next ?? null] : entry)))} />
        <button type="button" onClick=${() => put(entries.filter((_, at) => at !== index))}>Remove<span class="unseen"> ${visible(key)}</span></button>
      </div>`,
    )}
    <div><button type="button" onClick=${add}>Add<span class="unseen"> to ${visible(label)}</span></button></div>
  <//>`;
}

function UnionControl(props) {
  const { shape, value, onChange, root, path, depth, problems, label } = props;
  const [chosen, setChosen] = useState(() => (value === null || value === undefined ? (shape.isNullable ? -1 : 0) : optionOf(value, shape, root)));
  const change = (event) => {
    const index = Number(event.target.value);
    setChosen(index);
    onChange(index < 0 ? null : emptyOf(shape.options[index], root, depth + 1));
  };
  const option = shape.options[chosen];
  const told = option ? withoutTag(problems, path, namesOf(option, root, shape.tag)) : problems;
  return html`<${Group} ...${props}>
    <label class="field"><span class="label">Kind of ${visible(label)}</span>
      <select value=${chosen} onChange=${change}>
        ${shape.isNullable && html`<option value="-1" selected=${chosen < 0}>null</option>`}
        ${shape.options.map((each, index) => html`<option value=${index} selected=${index === chosen}>${visible(titleOf(each, root, index))}</option>`)}
      </select>
    </label>
    ${option && html`<${Field} key=${chosen} field=${{ name: titleOf(option, root, chosen), schema: option, isRequired: true }} value=${value} root=${root} depth=${depth + 1} path=${path} problems=${told} onChange=${onChange} isBare=${true} />`}
  <//>`;
}

/** What the gateway may call an option of a union in the path of a problem. */
function namesOf(option, root, tag) {
  const { title, type, properties = {} } = resolved(option, root);
  const name = option.$ref?.split("/").at(-1);
  return [tag && resolved(properties[tag], root).const, name, title, { string: "str", integer: "int", boolean: "bool", number: "float" }[type]].filter(Boolean);
}

function withoutTag(problems, path, names) {
  const rest = (key) => names.map((name) => joined(path, name)).find((start) => key === start || key.startsWith(`${start}.`));
  return Object.fromEntries(Object.entries(problems).map(([key, text]) => [rest(key) ? path + key.slice(rest(key).length) : key, text]));
}

/** @param isMessage no other JSON than an object is taken. */
export function JsonControl(props) {
  const { value, onChange, isMessage, rows = "4" } = props;
  const [text, setText] = useState(value === undefined ? "" : render(value, 2));
  const [problem, setProblem] = useState("");
  const change = (event) => {
    setText(event.target.value);
    try {
      const next = event.target.value.trim() ? parse(event.target.value) : undefined;
      const isTaken = !isMessage || isObject(next);
      setProblem(isTaken ? "" : "A message is an object: { … }");
      if (isTaken) onChange(next);
    } catch (error) {
      setProblem(`This is not JSON: ${error.message}`);
    }
  };
  const problems = problem ? { ...props.problems, [props.path]: problem } : props.problems;
  const told = { ...props, problems };
  return html`<${Plain} ...${told}><textarea ref=${useValidity(problem)} class="code" rows=${rows} spellcheck=${false} value=${text} onInput=${change} ...${described(told)}></textarea><//>`;
}

const joined = (path, name) => (path ? `${path}.${name}` : String(name));

const CONTROLS = {
  text: TextControl,
  number: NumberControl,
  integer: NumberControl,
  boolean: BooleanControl,
  enum: EnumControl,
  const: ConstControl,
  null: NullControl,
  object: ObjectControl,
  map: MapControl,
  array: ArrayControl,
  tuple: TupleControl,
  union: UnionControl,
  json: JsonControl,
};

/** For the `ref` of a control: while there is a `problem`, the browser lets no form with it go. */
export function useValidity(problem) {
  const control = useRef(null);
  useLayoutEffect(() => control.current?.setCustomValidity(problem), [problem]);
  return control;
}

/** Whether all controls in `element` hold values; the first that does not is shown. */
export function isValid(element) {
  return element?.querySelector("input:invalid, textarea:invalid")?.reportValidity() ?? true;
}
