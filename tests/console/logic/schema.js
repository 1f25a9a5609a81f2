import { partsOf } from "/logic/schema.js";
import { parse } from "/logic/json.js";
import { emptyOf, optionOf, resolved, shapeOf } from "/logic/schema.js";
import { equal } from "./checks.js";

const TREE = {
  $defs: { Tree: { type: "object", title: "Tree", properties: { name: { type: "string" }, inside: { type: "array", items: { $ref: "#/$defs/Tree" } } }, required: ["name"] } },
  $ref: "#/$defs/Tree",
};
const PAYMENT = {
  $defs: {
    Card: { type: "object", title: "Card", properties: { kind: { const: "card", default: "card" }, number: { type: "string" } }, required: ["number"] },
    Invoice: { type: "object", title: "Invoice", properties: { kind: { const: "invoice" }, days: { type: "integer" } }, required: ["kind"] },
  },
  oneOf: [{ $ref: "#/$defs/Card" }, { $ref: "#/$defs/Invoice" }],
  discriminator: { propertyName: "kind" },
};
const kind = (schema, root = schema, depth) => shapeOf(schema, root, depth).kind;

export function test_each_kind_of_schema_has_a_control() {
  const told = [
    { type: "string" }, { type: "number" }, { type: "integer" }, { type: "boolean" }, { enum: ["a", 1] },
    { const: 3 }, { type: "null" }, { type: "array", items: {} }, { type: "object", additionalProperties: { type: "integer" } },
    { type: "object", properties: { a: {} } }, { anyOf: [{ type: "string" }, { type: "integer" }] },
    { type: "array", prefixItems: [{}, {}], minItems: 2, maxItems: 2 }, {}, true, { type: "object" },
    { type: "object", additionalProperties: true }, { type: ["string", "null"] }, { oneOf: [{ const: 1 }, { const: 2 }] },
  ];
  equal(told.map((schema) => kind(schema)), ["text", "number", "integer", "boolean", "enum", "const", "null", "array", "map",
    "object", "union", "tuple", "json", "json", "json", "json", "text", "enum"]);
}

export function test_one_option_beside_null_is_that_option_and_may_be_null() {
  const shape = shapeOf({ anyOf: [{ type: "integer", minimum: 1 }, { type: "null" }], default: null, title: "N" }, {});
  equal([shape.kind, shape.isNullable, shape.title, shape.fallback], ["integer", true, "N", null]);
}

export function test_references_are_followed_and_a_circle_of_them_ends() {
  equal(kind(TREE), "object");
  const circle = { $defs: { A: { $ref: "#/$defs/B" }, B: { $ref: "#/$defs/A" } }, $ref: "#/$defs/A" };
  equal(resolved(circle, circle), {});
  equal(kind({ $ref: "#/$defs/gone" }, {}), "json");
  equal(kind({ $ref: "https://elsewhere/x" }, {}), "json");
  equal(kind({ $ref: "#/$defs/a~1b" }, { $defs: { "a/b": { type: "integer" } } }), "integer");
}

export function test_a_recursive_schema_is_offered_level_by_level_and_ends_as_json() {
  equal(emptyOf(TREE, TREE), {});
  equal([kind(TREE, TREE, 11), kind(TREE, TREE, 12)], ["object", "json"]);
  const endless = { $defs: { A: { type: "object", properties: { a: { $ref: "#/$defs/A" } }, required: ["a"] } }, $ref: "#/$defs/A" };
  equal(JSON.stringify(emptyOf(endless, endless)).length < 200, true);
}

export function test_a_form_begins_with_what_must_be_there_and_with_the_tags_of_unions() {
  equal(emptyOf(PAYMENT, PAYMENT), { kind: "card" });
  const schema = { type: "object", properties: { a: { type: "integer" }, b: { type: "string", default: "x" }, c: PAYMENT }, required: ["a", "b"] };
  equal(emptyOf(schema, schema), { b: "x" });
}

export function test_the_option_of_a_union_that_a_value_is_is_found() {
  const shape = shapeOf(PAYMENT, PAYMENT);
  equal(optionOf({ kind: "invoice", days: 3 }, shape, PAYMENT), 1);
  equal(optionOf({ number: "4" }, shape, PAYMENT), 0);
  const mixed = shapeOf({ anyOf: [{ type: "integer" }, { type: "number" }, { type: "string" }, { type: "array", items: {} }] }, {});
  equal(["1", "1.5", '"a"', "[]", "1152921504606846977", "1.0"].map((text) => optionOf(parse(text), mixed, {})), [0, 1, 2, 3, 0, 1]);
}

export function test_a_docstring_gives_its_text_and_a_sentence_for_each_field() {
  const told = partsOf("Ask.\n\nMore.\n\nAttributes:\n    name: of the run, which\n        goes on.\n    x: `a: b`.\n");
  equal(told, { text: "Ask.\n\nMore.", fields: { name: "of the run, which goes on.", x: "`a: b`." } });
  equal(partsOf(undefined), { text: "", fields: {} });
}

export function test_a_union_with_tags_may_be_null_and_its_options_are_found() {
  const schema = { $defs: PAYMENT.$defs, anyOf: [{ oneOf: PAYMENT.oneOf, discriminator: PAYMENT.discriminator }, { type: "null" }], default: null };
  const shape = shapeOf(schema, schema);
  equal([shape.kind, shape.isNullable, shape.options.length, shape.fallback], ["union", true, 2, null]);
  equal(optionOf({ kind: "invoice" }, shape, schema), 1);
  equal(emptyOf({ ...schema, default: undefined }, schema), null);
}
