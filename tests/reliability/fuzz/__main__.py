"""As many inputs as one likes, other ones each time; an input that breaks a decoder is printed."""

import argparse
import sys
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reliability.fuzz.decoders import DECODERS, hold_to_it, inputs


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000, help="for each decoder")
    parser.add_argument("decoders", nargs="*", default=list(DECODERS), help="all, unless named")
    chosen = parser.parse_args(arguments)
    for decoder in chosen.decoders:
        fuzz(decoder, chosen.examples)
        sys.stdout.write(f"{decoder}: {chosen.examples:,} inputs\n")
    return 0


def fuzz(decoder: str, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def hold(data: st.DataObject) -> None:
        hold_to_it(decoder, data.draw(inputs(decoder)))

    hold()


if __name__ == "__main__":
    sys.exit(main())
