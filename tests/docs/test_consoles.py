"""What consoles show is what happens, in the order of each page."""

from pathlib import Path

import pytest

from tests.docs.blocks import Reader, Step
from tests.docs.pages import MODELS, ORDERS, PAGES, README, ROOT, files, name_of, steps_on
from tests.servers import embedded_binary, redis_binary

# A sign of life, not a measure: these start many processes, and some of them load a model.
pytestmark = pytest.mark.timeout(300)

WITH_CONSOLES = [page for page in PAGES if steps_on(page) and page != ORDERS]


def test_there_are_pages_with_consoles() -> None:
    assert len(WITH_CONSOLES) >= 6
    assert README in WITH_CONSOLES
    assert MODELS not in WITH_CONSOLES


# Each command on the page about language models loads one.
AS_PARAMETERS = [
    pytest.param(
        page,
        id=name_of(page),
        marks=[pytest.mark.long] if page.name == "language-models.md" else [],
    )
    for page in WITH_CONSOLES
]


@pytest.mark.parametrize("page", AS_PARAMETERS)
def test_what_the_consoles_of_a_page_show_is_what_happens(page: Path, tmp_path: Path) -> None:
    embedded_binary()
    with Reader(tmp_path, ROOT) as reader:
        for block in files().values():
            reader.save(block)
        reader.type_all(steps_on(page))


def test_the_consoles_of_the_orders_show_what_happens() -> None:
    redis_binary()
    with Reader(ORDERS.parent, ORDERS.parent, ROOT) as reader:
        reader.type_all(steps_on(ORDERS))


def test_a_console_that_tells_a_lie_is_noticed(tmp_path: Path) -> None:
    with Reader(tmp_path, ROOT) as reader:
        reader.save(files()["hello_guild.py"])

        with pytest.raises(AssertionError, match="Hello, Eve"):
            reader.type(Step("python hello_guild.py", ["...text='Hello, Eve!'"]))


def test_an_id_that_is_shown_stands_for_the_one_that_is_printed(tmp_path: Path) -> None:
    shown, printed = "0" * 32, "ab" * 16
    with Reader(tmp_path) as reader:
        reader.type(Step(f"python -c \"print('{printed}', '{printed}')\"", [f"{shown} {shown}"]))
        told = reader.type(Step(f"python -c \"print('follow {shown}')\"", [f"follow {shown}"]))

        assert told.strip() == f"follow {printed}"
        with pytest.raises(AssertionError, match=shown):
            reader.type(Step("python -c \"print('cd' * 16)\"", [shown]))


def test_what_a_command_prints_can_be_kept_in_a_variable(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        reader.type(Step("export TOKEN=$(python -c 'print(6 * 7)')", []))

        reader.type(Step('python -c "print($TOKEN + 1)"', ["43"]))


def test_a_command_that_fails_is_noticed_unless_the_page_says_so(tmp_path: Path) -> None:
    fails, asks = Step("python -c 1/0", ["...ZeroDivisionError..."]), Step("echo $?", ["1"])
    with Reader(tmp_path) as reader:
        reader.type_all([fails, asks])

        with pytest.raises(AssertionError, match="ended with 1"):
            reader.type_all([fails])
        with pytest.raises(AssertionError, match="ended with 1"):
            reader.type(Step("python -V", ["..."]))
