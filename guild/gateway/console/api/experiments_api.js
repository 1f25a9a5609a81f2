// The experiments that a gateway mounts beside its API, each call by its name.

import { parseAnswer } from "../logic/json.js";
import { answered } from "./http.js";

const PLACE = new URL("experiments/", document.baseURI);
const PATIENCE_MS = 60_000; // with one read

export const studies = (options) => read(["studies"], {}, options);
export const study = (name, options) => read(["studies", name], {}, options);
export const trial = (id, options) => read(["trials", id], {}, options);
/** Records behind number `after` of the series `of`; from its first where that is another by now. */
export const curves = (id, after, of, options) => read(["trials", id, "curves"], { after, of }, options);

async function read(path, query, { signal } = {}) {
  const url = new URL(path.map(encodeURIComponent).join("/"), PLACE);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  const late = AbortSignal.timeout(PATIENCE_MS);
  const response = await answered("GET", url, { signal: signal ? AbortSignal.any([signal, late]) : late });
  return parseAnswer(await response.text());
}
