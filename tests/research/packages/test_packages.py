"""Installing packages: what goes with the installed torch goes in, everything else is refused."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from agents.research import ResearchToolkit
from agents.research.errors import WorkRefusedError
from agents.research.packages.messages import PackageInstalled
from agents.research.packages.settings import host_settings
from tests.research.packages.wheels import make_wheel

pytestmark = pytest.mark.slow

TORCH = version("torch")
PINNED = re.escape(f"torch=={TORCH}")
SITE = "ls .venv/lib/*/site-packages 2>/dev/null | grep -v guild.pth"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "toymetrics", "0.11.4", needs=("torch>=1.8",), code="accuracy = 1.0")
    make_wheel(folder, "toymetrics", "1.0.0", code="accuracy = 2.0")
    make_wheel(folder, "old-fashioned", "1.0", needs=("torch<1",))
    make_wheel(folder, "newest", "1.0", needs=("torch>=99",))
    make_wheel(folder, "torch", "99.0", code="raise SystemExit")
    make_wheel(folder, "gpu-lover", "1.0", needs=("nvidia-cublas-cu12",))
    make_wheel(folder, "nvidia-cublas-cu12", "12.0")
    make_wheel(folder, "broken", "1.0", code="import no_such_module")
    return folder


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def kit(
    index: Path, tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch
) -> Iterator[ResearchToolkit]:
    patched.setenv("PIP_NO_INDEX", "1")
    patched.setenv("PIP_FIND_LINKS", str(index))
    patched.delenv("PIP_CONSTRAINT", raising=False)
    workspace = tmp_path_factory.mktemp("workspace")
    with ResearchToolkit(workspace=workspace, install_packages=True) as opened:
        yield opened


def test_a_package_is_installed_imported_and_used_by_scripts(kit: ResearchToolkit) -> None:
    text = kit.pip_install_pytorch_package(
        "toymetrics", version="0.11.4", pytorch_version="2.1.0", cuda_version="cu118"
    )

    assert "Successfully installed toymetrics-0.11.4" in text
    assert "[import toymetrics: ok]" in text
    assert f"[torch {TORCH} is installed and stays; 2.1.0 with cu118 was named]" in text
    kit.write_file(
        "use.py", "import torch, toymetrics; print(torch.__version__, toymetrics.accuracy)"
    )
    assert kit.python_run("use.py").strip() == f"{TORCH} 1.0"


@pytest.mark.long
def test_it_stays_until_an_upgrade_is_asked_for(kit: ResearchToolkit) -> None:
    kit.pip_install_pytorch_package("toymetrics", version="0.11.4")

    kept = kit.pip_install_pytorch_package("toymetrics")
    upgraded = kit.pip_install_pytorch_package("toymetrics", upgrade=True)

    assert "Successfully installed" not in kept
    assert "Successfully installed toymetrics-1.0.0" in upgraded


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("old-fashioned", PINNED),
        pytest.param("newest", PINNED, marks=pytest.mark.long),
        pytest.param(
            "gpu-lover",
            "would bring nvidia-cublas-cu12 into an environment whose torch",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "no-such-package",
            "No matching distribution found for no-such-package",
            marks=pytest.mark.long,
        ),
    ],
)
def test_what_does_not_go_with_the_installed_torch_is_refused(
    kit: ResearchToolkit, name: str, says: str
) -> None:
    before = kit.bash_run(SITE)

    with pytest.raises(WorkRefusedError, match=says) as caught:
        kit.pip_install_pytorch_package(name, pytorch_version="99.0", cuda_version="cu999")

    assert caught.value.where == "package_name"
    assert kit.bash_run(SITE) == before


@pytest.mark.long
def test_another_torch_is_refused(kit: ResearchToolkit) -> None:
    with pytest.raises(WorkRefusedError, match=r"torch"):
        kit.pip_install_pytorch_package("torch", version="99.0", upgrade=True)


@pytest.mark.long
def test_a_package_that_cannot_be_imported_says_why(kit: ResearchToolkit) -> None:
    text = kit.pip_install_pytorch_package("broken")

    assert "[the import failed: ModuleNotFoundError: No module named 'no_such_module']" in text


@pytest.mark.parametrize(
    ("name", "number", "where"),
    [
        ("--index-url=https://evil.example", None, "package_name"),
        ("-r requirements.txt", None, "package_name"),
        ("toymetrics==1.0", None, "package_name"),
        ("toymetrics @ file:///etc/passwd", None, "package_name"),
        ("git+https://evil.example/x.git", None, "package_name"),
        ("./local", None, "package_name"),
        ("toymetrics; python_version > '3'", None, "package_name"),
        ("toymetrics\n--pre", None, "package_name"),
        ("", None, "package_name"),
        ("toymetrics", "1.0 --pre", "version"),
        ("toymetrics", "latest", "version"),
        ("toymetrics", ">=1", "version"),
    ],
)
def test_options_and_addresses_are_no_names(
    kit: ResearchToolkit, name: str, number: str | None, where: str
) -> None:
    with pytest.raises(WorkRefusedError) as caught:
        kit.pip_install_pytorch_package(name, version=number)

    assert caught.value.where == where


def test_it_is_off_unless_the_operator_turns_it_on(tmp_path: Path) -> None:
    with (
        ResearchToolkit(workspace=tmp_path) as kit,
        pytest.raises(WorkRefusedError, match="install_packages: true"),
    ):
        kit.pip_install_pytorch_package("toymetrics")

    assert list(tmp_path.iterdir()) == []


def test_the_settings_of_the_host_are_handed_on_without_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path} https://example.org/wheels")

    settings = host_settings()

    assert str(tmp_path) in settings.paths
    assert settings.variables["PIP_FIND_LINKS"] == f"{tmp_path} https://example.org/wheels"


def test_a_password_of_an_index_is_not_shown_to_the_workspace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@example.org/simple")

    with pytest.raises(WorkRefusedError, match="'index-url' holds a user name") as caught:
        host_settings()

    assert "secret" not in str(caught.value)


def test_nothing_to_say_besides_is_only_the_output() -> None:
    done = PackageInstalled(output="done\n", added={}, imported=(), problem="", torch=TORCH)

    assert done.text == "done\n"
