// What a schema allows, in a few words below its field.

import { render } from "./json.js";

export function limitsOf(shape) {
  const { schema } = shape;
  const told = [];
  const add = (value, words) => value !== undefined && told.push(words(value));
  add(schema.minimum, (value) => `at least ${value}`);
  add(schema.exclusiveMinimum, (value) => `more than ${value}`);
  add(schema.maximum, (value) => `at most ${value}`);
  add(schema.exclusiveMaximum, (value) => `less than ${value}`);
  if (schema.minLength > 1) told.push(`at least ${schema.minLength} characters`);
  add(schema.maxLength, (value) => `at most ${value} characters`);
  add(schema.minItems || undefined, (value) => `at least ${value}`);
  add(schema.maxItems, (value) => `at most ${value}`);
  add(schema.pattern, (value) => `of the form ${value}`);
  add(schema.format, (value) => value);
  return told.join(", ");
}

/** What stands for a field that is left out. */
export function fallbackOf(shape) {
  const text = shape.fallback === undefined ? "" : render(shape.fallback);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
