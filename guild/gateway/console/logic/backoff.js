// How long to wait before the next try: twice as long each time, and never all at the same moment.

const FIRST_S = 0.5;
const MOST_S = 30;

/**
 * @param failures how many tries in a row failed, from 1.
 * @param random between 0 and 1.
 * @param askedFor seconds that the server asked for.
 */
export function waitOf(failures, random = Math.random(), askedFor = 0) {
  const full = Math.min(MOST_S, FIRST_S * 2 ** Math.min(failures - 1, 10));
  return Math.max(askedFor, full * (0.5 + random / 2));
}
