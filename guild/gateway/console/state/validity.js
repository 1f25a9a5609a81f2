// What a control holds that is no value: the form's value is still the one before, and must not go.

import { useLayoutEffect, useRef } from "../vendor/htm-preact.js";

/** For the `ref` of a control: while there is a `problem`, the browser lets no form with it go. */
export function useValidity(problem) {
  const control = useRef(null);
  useLayoutEffect(() => control.current?.setCustomValidity(problem), [problem]);
  return control;
}

/** Whether all controls in `element` hold values; the first that does not is shown. */
export function isValid(element) {
  return element?.querySelector("input:invalid, textarea:invalid")?.reportValidity() ?? true;
}
