// The tree of what was tried, which comes as rows with a depth, each above those that change it.

/** Whether a row of `branches` has others below it. */
export function hasChildren(branches, index) {
  return (branches[index + 1]?.depth ?? 0) > branches[index].depth;
}

/** The rows that are seen where those of `closed` (trials) hide what is below them. */
export function seenOf(branches, closed) {
  const seen = [];
  let hidden = Infinity; // rows deeper than this are
  branches.forEach((branch, index) => {
    if (branch.depth > hidden) return;
    const isParent = hasChildren(branches, index);
    const isClosed = isParent && closed.has(branch.trial);
    hidden = isClosed ? branch.depth : Infinity;
    seen.push({ ...branch, isParent, isClosed });
  });
  return seen;
}

/** The number of the row above which row `index` hangs; -1 at a root. */
export function parentOf(rows, index) {
  for (let above = index - 1; above >= 0; above -= 1) {
    if (rows[above].depth < rows[index].depth) return above;
  }
  return -1;
}

/** Where a key leads to in a tree: `{to}` another row, `{close}` or `{open}` this one, else null. */
export function moved(key, rows, index) {
  const row = rows[index];
  if (key === "ArrowDown") return index + 1 < rows.length ? { to: index + 1 } : null;
  if (key === "ArrowUp") return index > 0 ? { to: index - 1 } : null;
  if (key === "Home") return { to: 0 };
  if (key === "End") return { to: rows.length - 1 };
  if (key === "ArrowRight" && row.isParent) return row.isClosed ? { open: true } : { to: index + 1 };
  if (key === "ArrowLeft" && row.isParent && !row.isClosed) return { close: true };
  if (key === "ArrowLeft" && parentOf(rows, index) >= 0) return { to: parentOf(rows, index) };
  return null;
}
