// A chart in the colours of the theme; what it shows is said in words beside it.

import { figureOf, timeOf } from "../logic/format.js";
import { dotsOf, drawable, extentOf, logRangeOf, logTicksOf, nearestOf, pathsOf, placing, rangeOf, ticksOf } from "../logic/plot.js";
import { fontScale, useWidth } from "../state/layout.js";
import { html, useMemo, useRef, useState } from "../vendor/htm-preact.js";

const SPACE = { left: 52, right: 14, top: 6, bottom: 20 };
const BETWEEN = { x: 80, y: 34 }; // px from tick to tick
const TIMES = 4;

/**
 * @param lines `{xs, ys, look, kind}` each: `xs` grow, null in `ys` is a gap, `look` names classes,
 *     `kind` is `stepped` or `dots` where it is no line.
 * @param lastS `xs` are times of day, of which so many seconds up to now are shown.
 * @param onPoint told the `{x, ys}` that the pointer is at, null when it has left.
 */
export function Plot({ lines, isLog = false, height = 180, lastS = 0, onPoint }) {
  const box = useRef(null);
  const width = useWidth(box);
  const [at, setAt] = useState(null);
  const drawn = useMemo(() => width > 0 && drawingOf(lines, { width, height, isLog, lastS }), [lines, width, height, isLog, lastS]);
  const show = (point) => {
    setAt(point);
    onPoint?.(point);
  };
  const move = (event) => show(pointAt(lines, drawn, event.clientX - event.currentTarget.getBoundingClientRect().left));
  const hears = onPoint && drawn ? { onPointerMove: move, onPointerLeave: () => show(null) } : {};
  return html`<div class="plot" ref=${box} style=${{ height: `${height / 16}rem` }} aria-hidden="true">
    ${drawn && html`<svg width=${width} height=${drawn.height} ...${hears}>
      ${drawn.rows.map(({ top, text }) => html`<line class="grid" x1=${drawn.left} x2=${drawn.right} y1=${top} y2=${top} /><text class="end" x=${drawn.left - 8} y=${top + 4}>${text}</text>`)}
      ${drawn.columns.map(({ left, text }) => html`<text class="under" x=${left} y=${drawn.height - 4}>${text}</text>`)}
      ${at && html`<line class="cursor" x1=${drawn.atX(at.x)} x2=${drawn.atX(at.x)} y1=${drawn.top} y2=${drawn.bottom} />`}
      ${drawn.lines.map(({ look, line, alone, dots }) => html`<g class="curve ${look}"><path d=${line} /><path class="alone" d=${alone} /><path class="dot-mark" d=${dots} /></g>`)}
    </svg>`}
  </div>`;
}

function drawingOf(lines, { width, height: plainHeight, isLog, lastS }) {
  const px = fontScale();
  const height = plainHeight * px;
  const [left, right, top, bottom] = [SPACE.left * px, width - SPACE.right * px, SPACE.top * px, height - SPACE.bottom * px];
  const told = lines.map(({ xs, ys, ...line }) => ({ ...line, xs, ys: drawable(ys, isLog) }));
  const [x, y] = rangesOf(told, { isLog, lastS });
  const [atX, atY] = [placing(x, left, right), placing(y, bottom, top, isLog)];
  const [wide, high] = [(right - left) / (BETWEEN.x * px), (bottom - top) / (BETWEEN.y * px)];
  const ofX = lastS ? Array.from({ length: TIMES }, (_, index) => x[1] - ((index + 0.5) * lastS) / TIMES) : ticksOf(x, wide, { isWhole: true });
  const ofY = (isLog ? logTicksOf : ticksOf)(y, high);
  return {
    height, left, right, top, bottom, atX, x,
    rows: ofY.map((value) => ({ top: atY(value), text: figureOf(value) })),
    columns: ofX.map((value) => ({ left: atX(value), text: lastS ? timeOf(value) : figureOf(value) })),
    lines: told.map(({ xs, ys, look, kind }) => (kind === "dots" ? { look, dots: dotsOf(xs, ys, atX, atY) } : { look, ...pathsOf(xs, ys, atX, atY, { isStepped: kind === "stepped" }) })),
  };
}

/** What both axes show; a range is never without width. */
function rangesOf(lines, { isLog, lastS }) {
  const [least, most] = extentOf(lines.map(({ ys }) => ys));
  const [first, last] = extentOf(lines.map(({ xs }) => xs));
  if (lastS) return [[(last ?? 0) - lastS, last ?? 0], [0, Math.max(1, (most ?? 0) * 1.1)]];
  const x = first === null ? [0, 1] : last > first ? [first, last] : [first - 1, last + 1];
  return [x, isLog ? logRangeOf(least, most) : rangeOf(least, most)];
}

/** The step next to the pointer, with what each line says of it. */
function pointAt(lines, { x: [least, most], left, right }, place) {
  const wanted = least + ((place - left) / (right - left)) * (most - least);
  const steps = lines.filter(({ xs }) => xs.length).map(({ xs }) => xs[nearestOf(xs, wanted)]);
  if (!steps.length) return null;
  const x = steps.reduce((best, each) => (Math.abs(each - wanted) < Math.abs(best - wanted) ? each : best));
  const valueAt = ({ xs, ys }) => (xs[nearestOf(xs, x)] === x ? ys[nearestOf(xs, x)] : null);
  return { x, ys: lines.map(valueAt) };
}
