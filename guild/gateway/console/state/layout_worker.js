// Lays out graphs beside the page: one of fifty agents takes a quarter of a second.

import * as dagre from "../vendor/dagre.js";
import { bestLayout } from "../logic/graph_layout.js";

addEventListener("message", ({ data: { number, graph, width, height } }) => {
  postMessage({ number, laid: bestLayout(graph, dagre, width, height) });
});
