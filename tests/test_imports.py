"""What the first import costs and brings along, and whose files it finds."""

import functools
import shutil
import subprocess
import sys
import timeit
from pathlib import Path
from types import ModuleType

import pytest

import guild
import messaging
from messaging._origin import check_origin
from tests.servers import embedded_binary

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch",
    "transformers",
    "tokenizers",
    "sklearn",
    "matplotlib",
    "numpy",
    "starlette",
    "fastapi",
    "uvicorn",
    "opentelemetry",
    "prometheus_client",
}
HANDLING = {
    "redis",
    "messaging.consuming.replica",
    "messaging.consuming.consumer_loop",
    "messaging.backends.redis.consumer.consumer",
    "guild.runtime",
}
HELLO = ROOT / "specs" / "hello.yaml"
IGNORED = shutil.ignore_patterns("ml")  # the bytecode comes along, or each start compiles all
CLI = "import sys; sys.argv = ['guildbus', {words}]\nfrom guild.cli import main\n"


def modules_after(code: str, *, whole: bool = False) -> set[str]:
    """The top-level packages that are loaded when a fresh interpreter has run `code`; the `whole`
    names of all modules, if asked for."""
    names = _loaded(code)
    return set(names) if whole else {name.partition(".")[0] for name in names}


@functools.cache
def _loaded(code: str) -> tuple[str, ...]:
    script = f"import atexit, sys\natexit.register(lambda: print(*sys.modules))\n{code}"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import messaging; messaging.connect; messaging.Bus",
        "import guild; guild.Guild; guild.GuildBuilder",
        "import agents",
        "import agents.llm, agents.hello",
        "import messaging.telemetry",
        CLI.format(words="'--help'") + "main()",
        CLI.format(words="'validate', 'hello', 'phi', 'research'") + "main()",
        CLI.format(words="'graph', 'research'") + "main()",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    loaded = modules_after(code)

    assert loaded & HEAVY == set()
    assert loaded & {"messaging", "guild", "agents"}


def test_the_check_for_heavy_packages_can_fail() -> None:
    assert "starlette" in modules_after("import starlette") & HEAVY


def test_help_needs_neither_bus_nor_models_nor_logs() -> None:
    loaded = modules_after(CLI.format(words="'--help'") + "main()")

    assert loaded & {"pydantic", "redis", "structlog", "yaml", "rich"} == set()


def test_checking_a_spec_needs_neither_server_nor_logs() -> None:
    loaded = modules_after(CLI.format(words="'validate', 'hello'") + "main()")

    assert loaded & {"redis", "structlog", "rich"} == set()


@pytest.mark.parametrize(
    "words",
    [
        ("agents", str(HELLO)),
        ("topics", str(HELLO)),
        ("dead-letters", "list", str(HELLO)),
        ("publish", str(HELLO), "hello.greet", "name=Ada"),
        ("pause", str(HELLO), "greeter"),
    ],
    ids=lambda words: words[0],
)
def test_operating_a_guild_needs_nothing_that_handles_messages(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    embedded_binary()
    typed = ", ".join(map(repr, (*words, "--bus", f"embedded:{tmp_path}")))
    loaded = modules_after(CLI.format(words=typed) + "main()", whole=True)

    assert "messaging.backends.redis.backend" in loaded
    assert loaded & HANDLING == set()


def test_the_check_for_what_handles_can_fail() -> None:
    code = f"import {', '.join(sorted(HANDLING))}"
    assert modules_after(code, whole=True) >= HANDLING


def test_a_command_collects_garbage_once_it_has_begun() -> None:
    code = """
import asyncio, gc, typer
from guild.cli.calling import running
from guild.cli.syntax.options import Common

async def command(call):
    while not gc.isenabled():
        await asyncio.sleep(0)
    return 0

gc.disable()
running.GARBAGE_AFTER_S = 0.0
try:
    running.run_command(command, Common())
except typer.Exit as end:
    assert end.exit_code == 0
"""
    assert "guild" in modules_after(code)


@pytest.mark.parametrize("package", [guild, messaging])
def test_every_public_name_is_there_and_no_other(package: ModuleType) -> None:
    assert package.__all__ == sorted(package.__all__, key=_order)
    for name in package.__all__:
        value = getattr(package, name)
        assert not isinstance(value, ModuleType), f"the module {name} hides the public name"
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'no'"):
        package.no  # noqa: B018 - it is looked for


@pytest.mark.parametrize("package", [guild, messaging])
def test_a_star_import_brings_exactly_the_public_names(package: ModuleType) -> None:
    namespace: dict[str, object] = {}

    exec(f"from {package.__name__} import *", namespace)

    assert set(package.__all__) == set(namespace) - {"__builtins__"}


def test_a_name_stays_itself_when_its_module_is_imported_first() -> None:
    code = "import messaging.bus\nfrom messaging import connect\nassert callable(connect)"

    assert "messaging" in modules_after(code)


@pytest.mark.parametrize("package", ["agents", "guild", "messaging", "not_installed_at_all"])
def test_our_own_packages_pass_the_check(package: str) -> None:
    check_origin(package)


def test_the_check_costs_less_than_a_millisecond() -> None:
    """Speed is not asserted elsewhere; this is many times what it takes, on every start."""
    best_s = min(timeit.repeat(lambda: check_origin("guild"), number=10)) / 10

    assert best_s < 0.001


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Our packages, installed."""
    folder = tmp_path / "site"
    for package in ("agents", "guild", "messaging"):
        shutil.copytree(ROOT / package, folder / package, ignore=IGNORED)
    return folder


def stranger(folder: Path, package: str) -> None:
    """Another distribution with a package of this name, installed over whatever is there."""
    (folder / package).mkdir(parents=True, exist_ok=True)
    (folder / package / "__init__.py").write_text("Agent = object\n")
    info = folder / "strangers_kit-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers-kit\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{package}/__init__.py,,\n")


def ended(*path: Path, code: str) -> str:
    """The last line that a program says about itself when it fails."""
    setup = f"import sys; sys.path[:0] = {[str(folder) for folder in path]!r}\n"
    command = [sys.executable, "-I", "-c", setup + code]
    done = subprocess.run(command, cwd=path[0], capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr.splitlines()[-1]


def test_a_stranger_installed_over_our_guild_is_named_with_the_remedy(site: Path) -> None:
    stranger(site, "guild")

    last = ended(site, code=CLI.format(words="'--version'") + "main()")

    assert last == (
        f"ImportError: the package 'guild' at {site / 'guild' / '__init__.py'} is not guildbus's: "
        "strangers-kit owns it. Uninstall strangers-kit, or give guildbus a virtual environment "
        "of its own."
    )


def test_a_stranger_installed_over_our_agents_is_named_where_one_is_missed(site: Path) -> None:
    stranger(site, "agents")
    (site / "agents" / "hello.py").write_text("")

    last = ended(site, code=CLI.format(words=f"'validate', {str(HELLO)!r}") + "main()")

    assert "agent type 'hello.counter' cannot be loaded: ImportError: the package 'agents'" in last
    assert "strangers-kit owns it" in last


def test_agents_of_a_project_that_is_found_before_ours_are_named_too(
    site: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "project"
    stranger(elsewhere, "agents")

    last = ended(elsewhere, site, code=CLI.format(words=f"'validate', {str(HELLO)!r}") + "main()")

    assert f"the package 'agents' at {elsewhere}" in last
    assert "strangers-kit owns it" in last


@pytest.mark.parametrize("name", ["agents.py", "agents/__init__.py"])
def test_a_file_of_the_user_is_to_be_renamed_and_nothing_uninstalled(
    site: Path, tmp_path: Path, name: str
) -> None:
    own = tmp_path / "own"
    (own / name).parent.mkdir(parents=True)
    (own / name).write_text("")
    stranger(tmp_path / "installed", "agents")  # has the name as well, and did not bring the file

    path = (own, site, tmp_path / "installed")
    last = ended(*path, code=CLI.format(words=f"'validate', {str(HELLO)!r}") + "main()")

    what = f"the file {own / name}" if name == "agents.py" else f"the folder {own / 'agents'}"
    assert f"it hides ours, because Python looks there first. Rename {what}, or give" in last
    assert "ninstall" not in last


def test_a_project_may_have_agents_of_its_own_and_use_the_guild(site: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "project"
    stranger(elsewhere, "agents")
    code = "import agents, guild, messaging; guild.Guild; messaging.Bus; sys.exit('all is well')"

    assert ended(elsewhere, site, code=code) == "all is well"


def _order(name: str) -> tuple[int, str]:
    """As ruff sorts `__all__`: constants, classes, the rest."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name
