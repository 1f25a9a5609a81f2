"""What is said of a study in the end."""

from agents.research.researcher.conclusion import verdict
from tests.research.researcher.world import FACTS, live, study


def test_what_is_no_better_than_guessing_is_told_so() -> None:
    one = study(40)
    live(one)

    assert "better than guessing" in verdict(one, FACTS.model_copy(update={"chance": 0.999}))
    assert "guessing" not in verdict(one, FACTS)
