"""What tables say of the gateway and the console is complete and true."""

import re
from dataclasses import fields

from guild.gateway.callers import Scope
from guild.gateway.limits import Limits
from guild.gateway.page import FOLDER
from guild.gateway.problems import KINDS
from guild.gateway.table import TABLE
from tests.docs.pages import DOCS, code_in, rows

HTTP = DOCS / "http.md"
CONSOLE = DOCS / "console.md"


def test_the_routes_are_those_of_the_gateway() -> None:
    told = [
        (code_in(method)[0], path, scope)
        for method, paths, scope, _ in rows(HTTP, "method")
        for path in code_in(paths)
    ]

    assert len(set(told)) == len(told)
    assert set(told) == {(row.method, row.path, str(row.scope)) for row in TABLE}


def test_the_scopes_are_complete() -> None:
    assert [code_in(row[0])[0] for row in rows(HTTP, "scope")] == list(Scope)


def test_every_problem_is_listed_under_its_status() -> None:
    told = {
        error: int(status)
        for status, errors, _ in rows(HTTP, "status")
        for error in code_in(errors)
    }

    assert told == {error.__name__: kind.status for error, kind in KINDS.items()}


def test_every_limit_of_a_gateway_is_listed_with_its_default() -> None:
    told = {code_in(name)[0]: code_in(default)[0] for name, default, _ in rows(HTTP, "limit")}

    assert told == {each.name: str(each.default) for each in fields(Limits)}


def test_every_view_of_the_console_is_listed_in_the_order_of_its_menu() -> None:
    source = (FOLDER / "main.js").read_text(encoding="utf-8")
    titles = dict(re.findall(r'"?([\w-]+)"?: { title: "([^"]+)"', source))
    menu = source[source.index("GROUPS") :]
    names = [
        name for views in re.findall(r"views: \[([^]]+)\]", menu) for name in views.split(", ")
    ]

    assert [row[0] for row in rows(CONSOLE, "view")] == [titles[name.strip('"')] for name in names]
    assert len(titles) == len(names)


def test_the_routes_that_a_view_is_said_to_use_exist() -> None:
    told = {path for *_, paths in rows(CONSOLE, "view") for path in code_in(paths)}

    assert told <= {row.path for row in TABLE}
