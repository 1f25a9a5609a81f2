"""The wheel: what it carries, and that an installation of it finds its own specs."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked as an installer would, far from the repository."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_the_three_packages_and_nothing_else(files: set[str]) -> None:
    tops = {name.partition("/")[0] for name in files}

    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "agents",
        "guild",
        "messaging",
    }
    assert len(tops) == 4


def test_every_module_and_data_file_of_the_packages_is_in_the_wheel(files: set[str]) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "agents", "guild", "messaging"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    present = {name for name in listed if (ROOT / name).exists()}

    assert present - files == set()
    assert any(name.endswith(".lua") for name in files)
    assert {f"{package}/py.typed" for package in ("agents", "guild", "messaging")} <= files


def test_the_specs_are_in_the_wheel_without_the_schema_that_a_command_prints(
    files: set[str],
) -> None:
    shipped = {f"guild/_specs/{path.name}" for path in (ROOT / "specs").glob("*.yaml")}

    assert {each for each in files if each.startswith("guild/_specs/")} == shipped
    names = {"hello.yaml", "phi.yaml", "research.yaml"}
    assert {f"guild/_specs/{name}" for name in names} <= files


def test_the_only_script_is_guildbus(site: Path) -> None:
    (entry_points,) = site.glob("*.dist-info/entry_points.txt")
    scripts = re.search(r"\[console_scripts\]\n(.*?)(\n\n|$)", entry_points.read_text(), re.DOTALL)

    assert scripts is not None
    assert scripts[1].splitlines() == ["guildbus = guild.cli:main"]


def test_every_entry_point_of_an_agent_or_resource_is_in_the_wheel(
    site: Path, files: set[str]
) -> None:
    (entry_points,) = site.glob("*.dist-info/entry_points.txt")
    text = entry_points.read_text()

    for group in ("guildbus.agents", "guildbus.resources"):
        for value in PROJECT["entry-points"][group].values():
            assert f"= {value}" in text
            module = value.partition(":")[0].replace(".", "/")
            assert {f"{module}.py", f"{module}/__init__.py"} & files


def test_the_licence_and_the_readme_travel_along(site: Path) -> None:
    (metadata,) = site.glob("*.dist-info/METADATA")
    text = metadata.read_text()

    assert "License-Expression: Apache-2.0" in text
    assert "# Guildbus" in text
    assert list(site.glob("*.dist-info/licenses/LICENSE"))


def test_an_installed_wheel_runs_its_own_specs(site: Path, tmp_path: Path) -> None:
    code = f"import sys; sys.path[:0] = [{str(site)!r}]\nfrom guild.cli import main\nmain()"
    words = ["run", "hello", "--request", "hello.greet", "name=Ada", "--json"]

    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert '"Hello, Ada! Welcome to the guild."' in done.stdout
    assert done.stderr == ""


def test_the_installed_wheel_names_its_own_spec_folder(site: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(site)!r}]\n"
        "from guild.cli.calling.call import shipped_specs; print(shipped_specs())"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert Path(done.stdout.strip()) == site / "guild" / "_specs"
