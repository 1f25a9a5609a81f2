"""How long candidates are trained."""

import pytest

from agents.research.researcher.ladder import ladder
from tests.research.researcher.world import FACTS


@pytest.mark.parametrize("samples", [50, 1_000, 100_000])
def test_a_full_training_is_never_shorter_than_the_first_look_at_a_candidate(samples: int) -> None:
    facts = FACTS.model_copy(update={"samples": samples})
    first_look, *_, full = ladder(facts)

    assert ladder(facts, affordable=0.5)[-1] == first_look
    assert ladder(facts, affordable=first_look + 0.5)[-1] == first_look
    assert ladder(facts, affordable=1e9)[-1] == full
