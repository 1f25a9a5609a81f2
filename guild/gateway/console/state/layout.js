// How wide a place is, and a graph laid out for it; the last layout stays until the next is there.

import { inRows } from "../logic/graph_layout.js";
import { useEffect, useRef, useState } from "../vendor/htm-preact.js";

/** How much larger letters are than usual, as on very wide screens. */
export function fontScale() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}

/** How wide an element is, in px; 0 until it is known. */
export function useWidth(ref) {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    let frame = 0;
    const observer = new ResizeObserver(([entry]) => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => setWidth(entry.contentRect.width)); // within it, WebKit complains
    });
    observer.observe(ref.current);
    return () => {
      cancelAnimationFrame(frame);
      observer.disconnect();
    };
  }, []);
  return width;
}

const STEP = 120; // px: by so much the width changes before the graph is laid out anew

/** @returns what `bestLayout` does, null until it is there. */
export function useLayout(graph, width) {
  const [laid, setLaid] = useState(null);
  const [isBlocked, setIsBlocked] = useState(false); // the worker, by what guards this browser
  const worker = useRef(null);
  const number = useRef(0);
  useEffect(() => {
    worker.current = new Worker(new URL("layout_worker.js", import.meta.url), { type: "module" });
    worker.current.onerror = () => setIsBlocked(true);
    worker.current.onmessage = ({ data }) => data.number === number.current && setLaid(data.laid);
    return () => worker.current.terminate();
  }, []);
  useEffect(() => {
    if (!width) return;
    const room = { width: width / fontScale(), height: (innerHeight * 0.65) / fontScale() };
    if (isBlocked) return setLaid(inRows(graph, room.width));
    number.current += 1;
    worker.current.postMessage({ number: number.current, graph, ...room });
  }, [graph, Math.round(width / STEP), width > 0, isBlocked]);
  return laid;
}
