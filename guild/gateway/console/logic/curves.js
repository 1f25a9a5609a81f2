// Curves as they grow: figures by name over the step that they belong to, thinned out where they
// are long, so that a page that stays open does not grow.

export const MOST_POINTS = 2000;
export const MOST_CURVES = 64;

const PLACES = ["step", "epoch"];
const FURTHEST = 2 ** 53; // what is told as a step beyond it is none
const PARTS = /^(train|training|val|valid|validation|test)_(?=.)/;
const ABOUT_THE_WORK = /(_per_s|_s|seconds|_bytes|_mb)$/;

/** No records yet. */
export function nothing() {
  return { curves: new Map(), count: 0, leftOff: new Set() };
}

/**
 * `told` with `records`, each `{step?, epoch?, [name]: number | null}`; null is a gap. What a curve
 * said of the same step or a later one gives way: a training that was cut short goes back.
 * The arrays are those of `told`, which is not to be used any more.
 */
export function withRecords(told, records) {
  let { count } = told;
  for (const record of records) {
    count += 1;
    const x = PLACES.map((name) => record[name]).find((value) => Math.abs(value) <= FURTHEST && value !== null) ?? count;
    for (const [name, value] of Object.entries(record)) {
      if (!PLACES.includes(name)) add(told, name, x, value);
    }
  }
  return { ...told, count };
}

function add({ curves, leftOff }, name, x, y) {
  let curve = curves.get(name);
  if (!curve) {
    if (y === null) return; // what never was a figure is no curve
    if (curves.size >= MOST_CURVES) {
      leftOff.add(name.slice(0, 100));
      if (leftOff.size > 1000) leftOff.delete(leftOff.values().next().value);
      return;
    }
    curve = { xs: [], ys: [], stride: 1, skipped: 0, tail: null, gaps: 0, least: null, most: null };
    curves.set(name, curve);
  }
  goBack(curve, x);
  if (y === null) curve.gaps += 1;
  else note(curve, { x, y });
  curve.skipped += 1;
  if (curve.skipped < curve.stride) {
    curve.tail = [x, y];
    return;
  }
  curve.skipped = 0;
  curve.tail = null;
  curve.xs.push(x);
  curve.ys.push(y);
  if (curve.xs.length >= MOST_POINTS) thin(curve);
}

/** The extremes are those of all points, of those too that are not kept. */
function note(curve, point) {
  if (!curve.least || point.y < curve.least.y) curve.least = point;
  if (!curve.most || point.y > curve.most.y) curve.most = point;
}

function goBack(curve, x) {
  const [last] = curve.tail ?? [curve.xs.at(-1)];
  if (!(last >= x)) return;
  curve.tail = null;
  let end = curve.xs.length;
  while (end > 0 && curve.xs[end - 1] >= x) end -= 1;
  curve.xs.length = curve.ys.length = end;
  curve.least = curve.most = null;
  curve.ys.forEach((y, index) => y === null || note(curve, { x: curve.xs[index], y }));
}

/** Every other point goes, and of what comes only so many are kept. */
function thin(curve) {
  const isKept = (_value, index) => index % 2 === 0;
  if (curve.xs.length % 2 === 0) {
    curve.tail = [curve.xs.at(-1), curve.ys.at(-1)];
    curve.skipped = curve.stride;
  }
  curve.xs = curve.xs.filter(isKept);
  curve.ys = curve.ys.filter(isKept);
  curve.stride *= 2;
}

/** The points of a curve with the latest one: `[xs, ys]`. */
export function pointsOf({ xs, ys, tail }) {
  return tail ? [[...xs, tail[0]], [...ys, tail[1]]] : [xs, ys];
}

/** What can be said of a curve in a sentence; undefined while it has no point. */
export function summaryOf(curve) {
  const [xs, ys] = pointsOf(curve);
  const { least, most, gaps } = curve;
  const at = ys.findLastIndex((y) => y !== null);
  return at < 0 ? undefined : { last: { x: xs[at], y: ys[at] }, least, most, gaps, isBroken: at < ys.length - 1 };
}

/**
 * Figures that belong into one chart: `val_loss` and `train_loss`; those that a training is watched
 * by come first. `[{title, names, isLoss}]`.
 */
export function chartsOf(names) {
  const charts = new Map();
  for (const name of [...names].sort()) {
    const title = name.replace(PARTS, "");
    if (!charts.has(title)) charts.set(title, { title, names: [], isLoss: /loss|perplexity/.test(title) });
    charts.get(title).names.push(name);
  }
  const rank = ({ title, isLoss }) => (title === "loss" ? 0 : isLoss ? 1 : ABOUT_THE_WORK.test(title) ? 4 : title === "lr" ? 3 : 2);
  return [...charts.values()].sort((one, other) => rank(one) - rank(other) || (one.title < other.title ? -1 : 1));
}

/** `val` of `val_loss`; "" where the name says no part. */
export function partOf(name) {
  return PARTS.exec(name)?.[1] ?? "";
}

/**
 * How the curve `name` is drawn beside the others of its chart: what is held out is `plain`, what
 * is learned from `dashed`, and each step's own figure `faint`.
 */
export function strokeOf(name, names) {
  const part = partOf(name);
  if (part.startsWith("train")) return names.length > 1 ? "dashed" : "plain";
  return part || names.length === 1 ? "plain" : "faint";
}

/** At most `most` of `items`, evenly, with the first and the last. */
export function some(items, most) {
  if (items.length <= most) return items;
  return Array.from({ length: most }, (_, index) => items[Math.round((index * (items.length - 1)) / (most - 1))]);
}
