"""What the modules without a page compute, in the browser that computes it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.console.conftest import CONSOLE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

HERE = Path(__file__).parent / "logic"
HOME = "http://logic.test/"
CASES = [
    (path.name, name)
    for path in sorted(HERE.glob("*.js"))
    for name in re.findall(
        r"^export function (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
]


@pytest.fixture(scope="module")
def page(chromium: "Browser") -> Iterator["Page"]:
    """An empty page, which gets modules from this machine's files and nothing from a network."""
    page = chromium.new_page()
    page.route("**/*", _serve)
    page.goto(HOME)
    yield page
    page.close()


def _serve(route: "Route") -> None:
    path = route.request.url.removeprefix(HOME)
    if not path:
        route.fulfill(body="<!doctype html>", content_type="text/html")
        return
    file = HERE / path.removeprefix("tests/") if path.startswith("tests/") else CONSOLE / path
    route.fulfill(body=file.read_text(encoding="utf-8"), content_type="text/javascript")


@pytest.mark.parametrize(("file", "name"), CASES, ids=[f"{f}-{n}" for f, n in CASES])
def test_the_modules_compute_what_they_should(page: "Page", file: str, name: str) -> None:
    page.evaluate(
        "([file, name]) => import(file).then((module) => module[name]())", [f"/tests/{file}", name]
    )


def test_no_module_of_the_logic_touches_the_page() -> None:
    for path in (CONSOLE / "logic").glob("*.js"):
        code = path.read_text(encoding="utf-8")

        assert not re.search(r"\b(document|window|fetch|sessionStorage|localStorage)\b", code), path
        assert not re.search(r'from "\.\./', code), f"{path} leaves its room"
