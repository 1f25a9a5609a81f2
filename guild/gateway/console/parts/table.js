// A table that becomes a list of cards where the page is narrow; its roles are said, since CSS that
// changes how a table is laid out makes browsers forget what it is.

import { Component, html } from "../vendor/htm-preact.js";

/**
 * @param columns `{title, cell(row), isNumber?, isMain?, isWide?}` each.
 * @param keyOf a text that tells rows apart.
 * @param isStable no row ever changes, nor its columns.
 */
export function Table({ label, columns, rows, keyOf, isStable, className = "" }) {
  return html`<table role="table" class="table ${className}" aria-label=${label}>
    <thead role="rowgroup">
      <tr role="row">
        ${columns.map((column) => html`<th role="columnheader" scope="col" class=${classOf(column)}>${column.title}</th>`)}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map((row) =>
        isStable
          ? html`<${Once} key=${keyOf(row)} of=${row} draw=${(each) => rowOf(each, columns)} />`
          : html`<${Row} key=${keyOf(row)} row=${row} columns=${columns} />`,
      )}
    </tbody>
  </table>`;
}

const Row = ({ row, columns }) => rowOf(row, columns);

function rowOf(row, columns) {
  return html`<tr role="row">
    ${columns.map((column) => html`<td role="cell" class=${classOf(column)} data-title=${column.title}>${column.cell(row)}</td>`)}
  </tr>`;
}

function classOf({ isNumber, isMain, isWide }) {
  return [isNumber && "number", isMain && "main", isWide && "wide"].filter(Boolean).join(" ");
}

// Something that is drawn anew only when what it shows is another thing.
//
// To hand Preact the same element again would do as well, but that keeps each list it was ever in:
// a page of messages grew by two megabytes a second.

/** @param props `of`: what is shown; `draw(of)`: how. */
export class Once extends Component {
  shouldComponentUpdate({ of }) {
    return of !== this.props.of;
  }

  render({ of, draw }) {
    return draw(of);
  }
}
