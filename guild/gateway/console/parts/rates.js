// The rate of an agent over the last two minutes, drawn by uPlot; the same in words for readers.

import { rateOf, timeOf } from "../logic/format.js";
import { classic } from "./classic.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";

const HEIGHT = 120;
const SHOWN_S = 120;

export function Rates({ samples, agent }) {
  const box = useRef(null);
  const chart = useRef(null);
  const UPlot = useUPlot();
  const points = samples.map((sample) => [sample.at, sample.perS[agent] ?? 0]);
  useEffect(() => {
    if (!UPlot) return undefined;
    const make = () => {
      chart.current?.destroy();
      chart.current = new UPlot(optionsOf(box.current), [[], []], box.current);
    };
    make();
    const observer = new ResizeObserver(() => chart.current.setSize({ width: box.current.clientWidth, height: HEIGHT }));
    observer.observe(box.current);
    const theme = new MutationObserver(make); // its colours are drawn into a canvas
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      observer.disconnect();
      theme.disconnect();
      chart.current.destroy();
    };
  }, [UPlot, agent]);
  useEffect(() => {
    chart.current?.setData([points.map(([at]) => at), points.map(([, rate]) => rate)]);
  }, [samples, UPlot]);
  const most = Math.max(0, ...points.map(([, rate]) => rate));
  const told = points.length ? `Now ${rateOf(points.at(-1)[1])}, at most ${rateOf(most)} a second.` : "Nothing was measured yet.";
  return html`<div><div class="chart" ref=${box} aria-hidden="true"></div><p class="hint">${told}</p></div>`;
}

function useUPlot() {
  const [found, setFound] = useState(null);
  useEffect(() => {
    classic("vendor/uplot.js", "uPlot").then((UPlot) => setFound(() => UPlot));
  }, []);
  return found;
}

/** The last two minutes; what uPlot offers of a single point ends in years. */
function rangeOf(last = 0) {
  return [last - SHOWN_S, last];
}

function optionsOf(element) {
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    element.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { range: (chart) => rangeOf(chart.data[0].at(-1)) }, y: { range: (_chart, _least, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [{ ...axis, space: 80, values: (_chart, splits) => splits.map((at) => timeOf(at)) }, { ...axis, size: 40, space: 28 }],
    series: [{}, { stroke: colour("--accent"), width: 1.5, points: { show: false } }],
  };
}
