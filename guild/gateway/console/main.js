// Begins the console.

import { Shell } from "./parts/shell.js";
import { html, render } from "./vendor/htm-preact.js";

const app = document.getElementById("app");
app.textContent = "";
render(html`<${Shell} />`, app);
