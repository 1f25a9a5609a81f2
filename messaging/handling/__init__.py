"""From a delivery to its settlement: decode it, hand it to its handler, settle what came of it."""
