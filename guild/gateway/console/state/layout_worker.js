// Lays out graphs beside the page: one of fifty agents takes a quarter of a second.

import { bestLayout } from "../logic/graph_layout.js";
import * as dagre from "../vendor/dagre.js";

addEventListener("message", ({ data: { number, graph, width, height } }) => {
  postMessage({ number, laid: bestLayout(graph, dagre, width, height) });
});
