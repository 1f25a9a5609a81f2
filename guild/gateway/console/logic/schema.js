// What a JSON schema, as pydantic writes it, asks a form to show.

import { isSame, Numeral, render } from "./json.js";

const DEEPEST = 12; // beyond it a value is typed as JSON
const MOST_REFERENCES = 20;

/** `schema` with its references followed and a single `allOf` merged; {} where they lead nowhere. */
export function resolved(schema, root) {
  let found = typeof schema === "object" && schema ? schema : {};
  for (let count = 0; count < MOST_REFERENCES; count++) {
    const { $ref, allOf, ...beside } = found;
    if ($ref !== undefined) found = { ...at(root, $ref), ...beside };
    else if (allOf?.length === 1) found = { ...allOf[0], ...beside };
    else return found;
  }
  return {}; // a circle
}

function at(root, pointer) {
  if (!pointer.startsWith("#")) return {};
  const steps = pointer.slice(1).split("/").filter(Boolean);
  const names = steps.map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));
  return names.reduce((found, name) => found?.[name], root) ?? {};
}

/**
 * What is to be shown for `schema`, one level of it.
 *
 * `kind` is `text`, `number`, `integer`, `boolean`, `enum` (with `values`), `const` (`value`),
 * `null`, `object` (`fields`), `map` (`values`), `array` (`items`, `least`, `most`), `tuple`
 * (`items`), `union` (`options`) or `json`. `isNullable` when null is taken, too.
 */
export function shapeOf(schema, root, depth = 0) {
  const plain = resolved(schema, root);
  const told = {
    title: plain.title,
    description: plain.description,
    fallback: plain.default,
    isNullable: false,
    schema: plain,
  };
  return { ...told, ...kindOf(plain, root, depth) };
}

function kindOf(schema, root, depth) {
  const json = { kind: "json" };
  if ("const" in schema) return { kind: "const", value: schema.const };
  if (Array.isArray(schema.enum)) return { kind: "enum", values: schema.enum };
  const options = schema.oneOf ?? schema.anyOf ?? severalTypes(schema);
  if (options) return unionOf(schema, options, root, depth);
  if (depth >= DEEPEST && ["object", "array"].includes(schema.type)) return json;
  if (schema.type === "string") return { kind: "text", isLong: isLong(schema) };
  if (["number", "integer", "boolean", "null"].includes(schema.type)) return { kind: schema.type };
  if (schema.type === "array") return arrayOf(schema);
  if (schema.type === "object" || schema.properties) return objectOf(schema);
  return json;
}

function severalTypes({ type, ...rest }) {
  return Array.isArray(type) ? type.map((each) => ({ ...rest, type: each })) : undefined;
}

function unionOf(schema, options, root, depth) {
  const plain = options.map((option) => resolved(option, root));
  const left = options.filter((_, index) => plain[index].type !== "null");
  const isNullable = left.length < options.length;
  if (left.length === 1) {
    const only = shapeOf(left[0], root, depth);
    const { title = only.title, description = only.description } = schema;
    const fallback = "default" in schema ? schema.default : only.fallback;
    return { ...only, title, description, fallback, isNullable };
  }
  if (!left.length) return { kind: "null" };
  if (plain.every((option) => "const" in option)) {
    return { kind: "enum", values: plain.map((option) => option.const), isNullable };
  }
  return { kind: "union", options: left, isNullable, tag: schema.discriminator?.propertyName };
}

function arrayOf(schema) {
  const bounds = { least: schema.minItems ?? 0, most: schema.maxItems ?? Infinity };
  if (schema.prefixItems?.length && bounds.most <= schema.prefixItems.length) {
    return { kind: "tuple", items: schema.prefixItems };
  }
  return schema.items && !schema.prefixItems
    ? { kind: "array", items: schema.items, ...bounds }
    : { kind: "json" };
}

function objectOf(schema) {
  const names = Object.keys(schema.properties ?? {});
  if (names.length) {
    const required = new Set(schema.required);
    const { fields: told } = partsOf(schema.description);
    const fields = names.map((name) => ({
      name,
      hint: told[name],
      schema: schema.properties[name],
      isRequired: required.has(name),
    }));
    return { kind: "object", fields };
  }
  const values = schema.additionalProperties;
  if (values === false) return { kind: "object", fields: [] };
  return typeof values === "object" && Object.keys(values).length
    ? { kind: "map", values }
    : { kind: "json" };
}

function isLong(schema) {
  const isNamed = /text|prompt|content|body|description|source|code|message/i.test(schema.title ?? "");
  return (schema.maxLength === undefined && isNamed) || schema.maxLength > 300;
}

/** What a form begins with: what must be there, as empty as it may be. */
export function emptyOf(schema, root, depth = 0) {
  const shape = shapeOf(schema, root, depth);
  if (shape.fallback !== undefined && shape.fallback !== null) return shape.fallback;
  if (shape.isNullable) return null;
  switch (shape.kind) {
    case "const":
      return shape.value;
    case "null":
      return null;
    case "object":
      return Object.fromEntries(
        shape.fields
          .filter((field) => field.isRequired || "const" in resolved(field.schema, root))
          .map((field) => [field.name, emptyOf(field.schema, root, depth + 1)])
          .filter(([, value]) => value !== undefined),
      );
    case "map":
      return {};
    case "array":
      return Array.from({ length: Math.min(shape.least, 20) }, () => emptyOf(shape.items, root, depth + 1));
    case "tuple":
      return shape.items.map((item) => emptyOf(item, root, depth + 1) ?? null);
    case "union":
      return emptyOf(shape.options[0], root, depth + 1);
    default:
      return undefined; // to be typed or chosen
  }
}

/** Which option of a union `value` is, 0 if it is not one of them. */
export function optionOf(value, shape, root) {
  const likely = shape.options.map((option) => likeness(value, option, root));
  return likely.indexOf(Math.max(...likely));
}

function likeness(value, schema, root, depth = 0) {
  const shape = shapeOf(schema, root, DEEPEST - 1);
  if (value === null) return shape.isNullable || shape.kind === "null" ? 1 : 0;
  switch (shape.kind) {
    case "const":
      return isSame(value, shape.value) ? 3 : 0;
    case "enum":
      return shape.values.some((each) => isSame(each, value)) ? 3 : 0;
    case "text":
      return typeof value === "string" ? 2 : 0;
    case "integer":
      return isNumber(value) && /^-?\d+$/.test(String(value)) ? 3 : 0;
    case "number":
      return isNumber(value) ? 2 : 0;
    case "boolean":
      return typeof value === "boolean" ? 2 : 0;
    case "array":
    case "tuple":
      return Array.isArray(value) ? 2 : 0;
    case "map":
      return isObject(value) ? 1 : 0;
    case "object":
      return isObject(value) ? objectLikeness(value, shape, root, depth) : 0;
    case "union":
      return Math.max(...shape.options.map((option) => likeness(value, option, root, depth)));
    default:
      return 0.5;
  }
}

function objectLikeness(value, shape, root, depth) {
  const names = new Set(shape.fields.map((field) => field.name));
  if (shape.fields.some((field) => field.isRequired && !(field.name in value))) return 0.2;
  let score = 2;
  for (const name of Object.keys(value)) score += names.has(name) ? 0.1 : -0.5;
  for (const field of depth < 2 ? shape.fields : []) {
    const inner = resolved(field.schema, root);
    if (!(field.name in value) || !("const" in inner)) continue;
    score += isSame(value[field.name], inner.const) ? 5 : -5;
  }
  return score;
}

/** Whether a form shows the field at `path`, names and indices joined by dots; unions are not walked. */
export function isShown(path, schema) {
  const [name] = path.split(".");
  const { properties = {} } = resolved(schema, schema);
  return Object.hasOwn(properties, name) && !("const" in resolved(properties[name], schema));
}

export function titleOf(schema, root, number) {
  const plain = resolved(schema, root);
  return plain.title ?? ("const" in plain ? String(plain.const) : plain.type ?? `choice ${number + 1}`);
}

export function isNumber(value) {
  return typeof value === "number" || value instanceof Numeral;
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isNumber(value);
}

// What a schema allows, in a few words below its field.

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

// What a docstring in Google's style says: the text, and a sentence for each attribute.

const SECTION = /^(Attributes|Args|Arguments|Fields):\s*$/;
const ITEM = /^(\s*)`?([A-Za-z_]\w*)`?(?:\s*\([^)]*\))?:\s+(.*)$/;

/** @returns {{text: string, fields: Object<string, string>}} */
export function partsOf(docstring) {
  const lines = String(docstring ?? "").split("\n");
  const start = lines.findIndex((line) => SECTION.test(line.trim()));
  if (start < 0) return { text: lines.join("\n").trim(), fields: {} };
  const fields = {};
  let margin = null;
  let name = "";
  for (const line of lines.slice(start + 1)) {
    const item = ITEM.exec(line);
    if (item && (margin === null || item[1].length <= margin)) {
      margin = item[1].length;
      name = item[2];
      fields[name] = item[3].trim();
    } else if (name && line.trim()) fields[name] += ` ${line.trim()}`;
    else if (!line.trim()) name = "";
  }
  return { text: lines.slice(0, start).join("\n").trim(), fields };
}
