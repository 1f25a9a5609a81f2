// Figures and times, for people.

export function countOf(value) {
  return Math.round(Number(value) || 0).toLocaleString("en").replaceAll(",", "\u202f");
}

/** The same where there is little room: `12k` from ten thousand on. */
export function shortOf(value) {
  if (value < 10_000) return countOf(value);
  if (value < 1e6) return `${Math.floor(value / 1000)}k`;
  return `${(Math.floor(value / 1e5) / 10).toFixed(1)}M`;
}

/** `1 message`, `2 messages`. */
export function many(count, one, more = `${one}s`) {
  return `${countOf(count)} ${count === 1 ? one : more}`;
}

/** A rate with two figures that count. */
export function rateOf(perSecond) {
  const value = Number(perSecond) || 0;
  if (value >= 100 || value === 0) return countOf(value);
  return value >= 10 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2);
}

export function secondsOf(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${twoFigures(seconds * 1000)} ms`;
  if (seconds < 60) return `${twoFigures(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

function twoFigures(value) {
  return value >= 10 ? String(Math.round(value)) : value.toFixed(1).replace(/\.0$/, "");
}

/** A moment as a Date, of seconds since 1970 or a text in ISO 8601; an invalid one for no moment. */
export function dateOf(at) {
  return new Date(typeof at === "number" ? at * 1000 : (at ?? NaN));
}

const two = (number) => String(number).padStart(2, "0");

/** The time of day here, with the date if that is not today's. */
export function timeOf(at, now = new Date()) {
  const date = dateOf(at);
  if (Number.isNaN(date.getTime())) return "–";
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return date.toDateString() === now.toDateString() ? time : `${day} ${time}`;
}

/** The same moment in full, with its distance from UTC: `2026-11-30 19:05:25.123 +01:00`. */
export function fullTimeOf(at) {
  const date = dateOf(at);
  const minutes = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + minutes * 60_000).toISOString().replace("T", " ").replace("Z", "");
  return `${local} ${minutes < 0 ? "−" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

/** `in 4 min 2 s`, or `4 min 2 s ago`. */
export function distanceOf(at, now = new Date()) {
  const seconds = (dateOf(at) - now) / 1000;
  if (Number.isNaN(seconds)) return "–";
  return seconds > 0 ? `in ${secondsOf(Math.ceil(seconds))}` : `${secondsOf(Math.floor(-seconds))} ago`;
}

/** As much of an id as tells it from its neighbours: what begins an id is its time. */
export function shortId(id) {
  return id.length > 14 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id;
}

// Measured figures, for people: four digits that count.

const UNKNOWN = "–";

export function figureOf(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  if (Number.isInteger(value)) return value.toLocaleString("en").replaceAll(",", "\u202f");
  return size >= 1000 ? Math.round(value).toLocaleString("en").replaceAll(",", "\u202f") : String(Number(value.toPrecision(4)));
}

/** A mean with its standard error. */
export function meanOf({ mean, error }) {
  return typeof error === "number" && typeof mean === "number" ? `${figureOf(mean)} ± ${error.toPrecision(2).replace(/^0\.0+$/, "0")}` : figureOf(mean);
}

/** A change, with its sign. */
export function gainOf(gain) {
  if (typeof gain !== "number") return UNKNOWN;
  return `${gain > 0 ? "+" : gain < 0 ? "−" : "±"}${figureOf(Math.abs(gain))}`;
}
