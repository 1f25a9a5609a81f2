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
