import pytest

from agents.research.experiments import Trial
from agents.research.experiments.duplicates import duplicates
from tests.research.experiments.samples import trial

CODE = """class Net(Module):
    def forward(self, x):
        return Block(x) + 1

class Block: ...
"""
SAME = {
    "comments": CODE.replace("+ 1", "+ 1  # one more"),
    "layout": CODE.replace("x) + 1", "\n            x\n        ) + 1\n"),
    "docstrings": CODE.replace("x):\n", 'x):\n        """Go on."""\n', 1),
    "names of classes": CODE.replace("Net", "Other").replace("Block", "Part"),
}
DIFFERENT = {
    "another number": CODE.replace("+ 1", "+ 2"),
    "another name of a function": CODE.replace("forward", "backward"),
    "another order of classes": "class Block: ...\n" + CODE.replace("class Block: ...\n", ""),
    "no Python": "class Net(",
}


@pytest.mark.parametrize("code", SAME.values(), ids=SAME)
def test_what_differs_on_paper_only_is_a_duplicate(code: str) -> None:
    first, second = trial(code=CODE), trial(code=code)

    assert first.fingerprint != second.fingerprint
    assert duplicates([first, trial(2, code=CODE), second]) == [(first, second)]


@pytest.mark.parametrize("code", DIFFERENT.values(), ids=DIFFERENT)
def test_what_does_something_else_is_none(code: str) -> None:
    assert duplicates([trial(code=CODE), trial(code=code)]) == []


def test_another_seed_kind_or_config_is_no_duplicate() -> None:
    others = [trial(code=CODE, seed=1), trial(code=CODE, kind="full"), trial(2, code=CODE)]

    assert duplicates([trial(code=CODE), *others]) == []


def test_the_name_of_the_class_in_the_config_follows_the_code() -> None:
    def named(name: str) -> Trial:
        return trial(code=CODE.replace("Net", name)).model_copy(
            update={"config": {"model_class_name": name}}
        )

    assert duplicates([named("Net"), named("Other")])


def test_code_that_nests_deeper_than_python_goes_is_compared_as_text() -> None:
    deep = "x = " + "-" * 50_000 + "1"

    assert duplicates([trial(code=deep), trial(code=deep + " ")]) == []
