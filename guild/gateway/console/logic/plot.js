// Where the points, the ticks and the labels of a chart are.

const ROUND = [1, 2, 5, 10];
const LARGEST = 1e30; // beyond it the distance of two values is none any more
const LARGEST_LOG = 1e12;

/** `ys` as they can be drawn: what cannot be is a gap. */
export function drawable(ys, isLog) {
  const isDrawn = (y) => (isLog ? y >= 1 / LARGEST_LOG && y <= LARGEST_LOG : Math.abs(y) <= LARGEST);
  return ys.map((y) => (y === null || isDrawn(y) ? y : null));
}

/** The least and the most of many lists; `[null, null]` of none. */
export function extentOf(lists) {
  let [least, most] = [null, null];
  for (const list of lists) {
    for (const value of list) {
      if (value === null) continue;
      if (least === null || value < least) least = value;
      if (most === null || value > most) most = value;
    }
  }
  return [least, most];
}

/** The range of an axis for values between these: with some room, and never without width. */
export function rangeOf(least, most) {
  if (least === null || most === null) return [0, 1];
  const size = Math.max(Math.abs(least), Math.abs(most));
  const room = most - least > size * 1e-6 ? (most - least) * 0.06 : size * 0.1 || 1;
  return [least - room, most + room];
}

/** The same for a logarithmic axis. */
export function logRangeOf(least, most) {
  if (least === null) return [0.1, 1];
  const room = Math.max((most / least) ** 0.06, 1.15);
  return [least / room, most * room];
}

/** At most about `count` round values in a range. */
export function ticksOf([least, most], count, { isWhole = false } = {}) {
  const rough = (most - least) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  if (!(power > 0) || !Number.isFinite(power)) return [];
  const step = Math.max(ROUND.find((each) => each * power >= rough * 0.999) * power, isWhole ? 1 : 0);
  const first = Math.ceil(least / step - 1e-9);
  const found = new Set();
  for (let index = 0; index <= count + 1 && (first + index) * step <= most; index += 1) {
    found.add(Number(((first + index) * step).toPrecision(12)));
  }
  return [...found];
}

/** Powers of ten in a range, or round values where it holds none but one. */
export function logTicksOf([least, most], count) {
  const [first, last] = [Math.ceil(Math.log10(least)), Math.floor(Math.log10(most))];
  if (last - first < 1) return ticksOf([least, most], count);
  const stride = Math.ceil((last - first + 1) / Math.max(1, count));
  return Array.from({ length: Math.floor((last - first) / stride) + 1 }, (_, index) => 10 ** (first + index * stride));
}

/** How a value in a range becomes a place between `from` and `to`. */
export function placing([least, most], from, to, isLog = false) {
  const at = isLog ? Math.log10 : Number;
  const [low, high] = [at(least), at(most)];
  return (value) => from + ((at(value) - low) / (high - low)) * (to - from);
}

/**
 * The line through these points, and the points without a neighbour, which no line would show, as
 * paths of an SVG; null is a gap.
 *
 * @param isStepped a value holds until the next.
 */
export function pathsOf(xs, ys, atX, atY, { isStepped = false } = {}) {
  const [line, alone] = [[], []];
  ys.forEach((y, index) => {
    if (y === null) return;
    const [left, top] = [round(atX(xs[index])), round(atY(y))];
    const [isAfter, isBefore] = [(ys[index - 1] ?? null) !== null, (ys[index + 1] ?? null) !== null];
    if (!isAfter && !isBefore) alone.push(`M${left} ${top}h0`);
    else if (!isAfter) line.push(`M${left} ${top}`);
    else line.push(isStepped ? `H${left}V${top}` : `L${left} ${top}`);
  });
  return { line: line.join(""), alone: alone.join("") };
}

/** Each point by itself. */
export function dotsOf(xs, ys, atX, atY) {
  return ys.map((y, index) => (y === null ? "" : `M${round(atX(xs[index]))} ${round(atY(y))}h0`)).join("");
}

/** The index of the value next to `x` in `xs`, which grow. */
export function nearestOf(xs, x) {
  let [low, high] = [0, xs.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
