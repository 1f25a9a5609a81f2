// Something that is drawn anew only when what it shows is another thing.
//
// To hand Preact the same element again would do as well, but that keeps each list it was ever in:
// a page of messages grew by two megabytes a second.

import { Component } from "../vendor/htm-preact.js";

/** @param props `of`: what is shown; `draw(of)`: how. */
export class Once extends Component {
  shouldComponentUpdate({ of }) {
    return of !== this.props.of;
  }

  render({ of, draw }) {
    return draw(of);
  }
}
