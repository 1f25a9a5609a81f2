// Measured figures, for people: four digits that count.

const UNKNOWN = "–";

export function figureOf(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  if (Number.isInteger(value)) return value.toLocaleString("en").replaceAll(",", "\u202f");
  return size >= 1000 ? Math.round(value).toLocaleString("en").replaceAll(",", "\u202f") : String(Number(value.toPrecision(4)));
}

/** A mean with its standard error. */
export function meanOf({ mean, error }) {
  return typeof error === "number" && typeof mean === "number" ? `${figureOf(mean)} ± ${error.toPrecision(2).replace(/^0\.0+$/, "0")}` : figureOf(mean);
}

/** A change, with its sign. */
export function gainOf(gain) {
  if (typeof gain !== "number") return UNKNOWN;
  return `${gain > 0 ? "+" : gain < 0 ? "−" : "±"}${figureOf(Math.abs(gain))}`;
}
