"""What is said of a study in the end."""

from agents.research.researcher.conclusion import verdict
from tests.research.researcher.world import FACTS, live, study


def test_what_is_no_better_than_guessing_is_told_so() -> None:
    one = study(40)
    live(one)

    assert "better than guessing" in verdict(one, FACTS.model_copy(update={"chance": 0.999}))
    assert "guessing" not in verdict(one, FACTS)


def test_what_makes_the_figures_doubtful_is_told_with_them() -> None:
    one = study(40)
    live(one)

    doubtful = FACTS.model_copy(update={"doubts": ("All are copies.", "Column 1 tells.")})
    assert verdict(one, doubtful) == f"{verdict(one, FACTS)} All are copies. Column 1 tells."
