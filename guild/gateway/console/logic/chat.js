// Which message types one can chat with, and what is said in each.

import { resolved, shapeOf } from "./schema.js";

const TEXT = "guild.text";
const ANSWER_FIELDS = ["content", "text", "generated_response", "answer", "reply", "message"];

/** The message types whose handlers emit text, with the field that takes what is said; dialogues first. */
export function chatsOf(types) {
  return types
    .filter((type) => (type.emits ?? []).some((name) => name.split("@")[0] === TEXT))
    .map((type) => ({ ...type, field: fieldOf(type.json_schema) }))
    .filter((type) => type.field)
    .sort((one, other) => other.field.isDialogue - one.field.isDialogue);
}

/** The field for what is said: a list of messages with role and content, or a required text. */
export function fieldOf(schema) {
  const shape = shapeOf(schema, schema);
  if (shape.kind !== "object") return undefined;
  const needed = shape.fields.filter((field) => field.isRequired);
  const dialogue = shape.fields.find((field) => isDialogue(field.schema, schema));
  if (dialogue && needed.every((field) => field === dialogue)) {
    return { name: dialogue.name, isDialogue: true };
  }
  const [text] = needed.filter((field) => shapeOf(field.schema, schema).kind === "text");
  return text && needed.length === 1 ? { name: text.name, isDialogue: false } : undefined;
}

function isDialogue(field, root) {
  const shape = shapeOf(field, root);
  if (shape.kind !== "array") return false;
  const items = resolved(shape.items, root);
  const options = [items, ...(items.anyOf ?? items.oneOf ?? [])];
  return options.some((option) => {
    const names = Object.keys(resolved(option, root).properties ?? {});
    return names.includes("role") && names.includes("content");
  });
}

/** The data of the next request. */
export function requestOf(field, turns, said) {
  if (!field.isDialogue) return { [field.name]: said };
  const before = turns
    .filter((turn) => !turn.problem && turn.text)
    .map((turn) => ({ role: turn.role, content: turn.text }));
  return { [field.name]: [...before, { role: "user", content: said }] };
}

/** The text of an answer; "" where it has none. */
export function textOf(answer, said = "") {
  const data = answer?.data ?? {};
  const name = ANSWER_FIELDS.find((field) => typeof data[field] === "string");
  if (!name) return "";
  return name === "generated_response" && data[name].startsWith(said)
    ? data[name].slice(said.length)
    : data[name];
}

/** The piece of text in an emitted item, "" if it is something else. */
export function pieceOf(item) {
  return item?.type?.split("@")[0] === TEXT ? String(item.data?.text ?? "") : "";
}
