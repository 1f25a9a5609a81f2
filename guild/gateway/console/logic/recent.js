// The conversations of late, from the handlings that the live view knows.

const WORST = ["dead_lettered"];

/**
 * One row a conversation, the last handled first: its last handling, or the one that was given up.
 *
 * @param rows handlings, the newest first.
 */
export function recentOf(rows, most = 50) {
  const found = new Map();
  for (const row of rows) {
    const id = row.conversation || row.id;
    const known = found.get(id);
    if (!known) found.set(id, row);
    else if (WORST.includes(row.outcome) && !WORST.includes(known.outcome)) found.set(id, { ...row, at: known.at });
  }
  return [...found.values()].sort((one, other) => other.at - one.at).slice(0, most);
}
