import pytest

from agents.ml.models.undefined_names import undefined_names

DEFINED = """
from torch import nn

WIDTH = 3


class Net(nn.Module):
    sizes = [WIDTH for _ in range(3)]

    def __init__(self, width=WIDTH):
        super().__init__()
        self.net = nn.Linear(width, width)

    def top(self, x):
        global seen
        seen = x
        try:
            kept = [y for y in x if (last := y)]
        except ValueError as error:
            return error, later(), __file__
        return kept, last, seen


def later(*values, **named):
    match values:
        case [int(first), *rest]:
            return lambda: (first, rest, named)
"""


def test_nothing_that_is_defined_is_named() -> None:
    assert undefined_names(DEFINED) == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(x):\n    return F.relu(x)\n", {"F": 2}),
        ("def f(x):\n    if x:\n        return y\n", {"y": 3}),
        ("class A:\n    k = 1\n    def f(self):\n        return k\n", {"k": 4}),
        ("def f(x: Tensor) -> None: ...\n", {"Tensor": 1}),
        ("print(a)\nprint(b, a)\n", {"a": 1, "b": 2}),
        ("from torch.nn import *\nprint(a)\n", {}),
    ],
)
def test_a_name_that_nothing_defines_is_told_with_its_line(
    source: str, names: dict[str, int]
) -> None:
    assert undefined_names(source) == names
