// What the tests of the modules need.

export function equal(found, wanted) {
  const [a, b] = [found, wanted].map((value) => JSON.stringify(value, plain, 1));
  if (a !== b) throw new Error(`found ${a}\nwanted ${b}`);
}

export function throws(act) {
  try {
    act();
  } catch {
    return;
  }
  throw new Error("nothing was thrown");
}

const plain = (_key, value) => (value === undefined ? "(undefined)" : value);
