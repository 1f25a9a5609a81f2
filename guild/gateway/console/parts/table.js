// A table that becomes a list of cards where the page is narrow; its roles are said, since CSS that
// changes how a table is laid out makes browsers forget what it is.

import { html } from "../vendor/htm-preact.js";

/**
 * @param columns `{title, cell(row), isNumber?, isMain?, isWide?}` each.
 * @param keyOf a text that tells rows apart.
 */
export function Table({ label, columns, rows, keyOf, className = "" }) {
  return html`<table role="table" class="table ${className}" aria-label=${label}>
    <thead role="rowgroup">
      <tr role="row">
        ${columns.map((column) => html`<th role="columnheader" scope="col" class=${classOf(column)}>${column.title}</th>`)}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map(
        (row) => html`<tr role="row" key=${keyOf(row)}>
          ${columns.map(
            (column) => html`<td role="cell" class=${classOf(column)} data-title=${column.title}>${column.cell(row)}</td>`,
          )}
        </tr>`,
      )}
    </tbody>
  </table>`;
}

function classOf({ isNumber, isMain, isWide }) {
  return [isNumber && "number", isMain && "main", isWide && "wide"].filter(Boolean).join(" ");
}
