// A chart of uPlot in the colours of the theme; what it shows is said in words beside it.

import { aloneIn, drawable, rangeOf } from "../logic/curves.js";
import { figureOf, timeOf } from "../logic/format.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";

/**
 * @param data columns as uPlot takes them, or `tables` of such columns to be joined by their first.
 * @param series called with `colour(name)`: the options of each column but the first.
 * @param kind a text that changes where the options do.
 * @param lastS the first column is a time of day, of which so many seconds up to now are shown.
 * @param onPoint told the `{x, ys}` that the pointer is at, null when it has left.
 */
export function Plot({ data, tables, series, kind = "", isLog = false, height = 180, lastS = 0, onPoint }) {
  const box = useRef(null);
  const chart = useRef(null);
  const UPlot = useUPlot();
  const made = useRef({});
  made.current = { series, isLog, height, lastS, onPoint };
  const columns = () => {
    const [xs, ...all] = tables ? joined(UPlot, tables) : data;
    return [xs, ...all.map((ys) => drawable(ys, isLog))];
  };
  useEffect(() => {
    if (!UPlot) return undefined;
    const make = () => {
      chart.current?.destroy();
      chart.current = new UPlot(optionsOf(box.current, made.current), columns(), box.current);
    };
    make();
    const observer = new ResizeObserver(() => chart.current.setSize({ width: box.current.clientWidth, height: height * unit() }));
    observer.observe(box.current);
    const theme = new MutationObserver(make); // its colours are drawn into a canvas
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    return () => {
      observer.disconnect();
      theme.disconnect();
      dark.removeEventListener("change", make);
      chart.current.destroy();
      chart.current = null;
    };
  }, [UPlot, kind, isLog, height]);
  useEffect(() => chart.current?.setData(columns()), [data, tables]);
  return html`<div class="plot" ref=${box} aria-hidden="true"></div>`;
}

/** How large letters are, beside those of an ordinary screen. */
function unit() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}

/** Steps and scores are counted. */
const WHOLE = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();

function useUPlot() {
  const [found, setFound] = useState(null);
  useEffect(() => {
    classic("vendor/uplot.js", "uPlot").then((UPlot) => setFound(() => UPlot), () => {});
  }, []);
  return found;
}

/** Several tables over one first column; null stays a gap, what another table has not is none. */
function joined(UPlot, tables) {
  if (tables.length === 1) return tables[0];
  return UPlot.join(tables, tables.map((table) => table.map(() => 1)));
}

function optionsOf(element, { series, isLog, height, lastS, onPoint }) {
  const colour = colourIn(element);
  const px = unit();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `${11 * px}px system-ui` };
  const values = (_chart, splits) => splits.map((at) => (at === null ? "" : figureOf(Number(at.toPrecision(10)))));
  const steps = { incrs: WHOLE, values };
  const times = { values: (_chart, splits) => splits.map((at) => timeOf(at)) };
  return {
    width: Math.max(1, element.clientWidth),
    height: height * px,
    legend: { show: false },
    cursor: { show: Boolean(onPoint), y: false, drag: { x: false, y: false }, points: { size: 6 } },
    hooks: { setCursor: [(chart) => onPoint?.(pointAt(chart, chart.cursor.idx))] },
    scales: { x: { time: false, range: lastS ? upTo(lastS) : widened }, y: scaleOf(isLog, lastS) },
    axes: [{ ...axis, space: 70 * px, size: 26 * px, ...(lastS ? times : steps) }, { ...axis, size: 56 * px, space: 28 * px, values }],
    series: [{}, ...series(colour).map((each) => ({ points: { show: true, size: 4, filter: (chart, index) => aloneIn(chart.data[index]) }, ...each }))],
  };
}

function scaleOf(isLog, lastS) {
  if (isLog) return { distr: 3, log: 10 };
  return { range: (_chart, least, most) => (lastS ? [0, Math.max(1, most * 1.1)] : rangeOf(least, most)) };
}

const upTo = (lastS) => ({ data: [xs] }) => [(xs.at(-1) ?? 0) - lastS, xs.at(-1) ?? 0];

function pointAt({ data: [xs, ...ys] }, index) {
  return typeof index === "number" ? { x: xs[index], ys: ys.map((each) => each[index]) } : null;
}

/** What uPlot offers of a single point has no width. */
function widened(_chart, least, most) {
  if (least === null || most === null) return [0, 1];
  return most > least ? [least, most] : [least - 1, most + 1];
}

function colourIn(element) {
  return (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    element.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
}

// A vendored library that is no module: it leaves its name in the global scope.

const loading = new Map();

export function classic(path, name) {
  if (!loading.has(path)) {
    loading.set(
      path,
      new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = new URL(path, document.baseURI).href;
        script.onload = () => resolve(globalThis[name]);
        script.onerror = () => reject(new Error(`${path} could not be read`));
        document.head.append(script);
      }),
    );
  }
  return loading.get(path);
}
