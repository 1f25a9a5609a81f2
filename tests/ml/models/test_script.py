import sys
from pathlib import Path

import pytest
from torch import nn

from agents.ml.errors import ModelScriptError
from agents.ml.models.script import build_model, load_model_class, load_module, module_name

NET = (
    "from torch import nn\n\n\nclass Net(nn.Module):\n"
    "    def __init__(self, width=3):\n        super().__init__()\n"
    "        self.fc = nn.Linear(2, width)\n"
)


def test_the_class_is_loaded_and_built(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)

    model = build_model("net.py", "Net", workspace=tmp_path, width=5)

    assert isinstance(model, nn.Module)
    assert model.fc.out_features == 5


def test_two_files_of_one_stem_are_two_modules(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(f"{NET}\nWHERE = {folder!r}\n")

    first, second = (load_module(tmp_path / folder / "net.py") for folder in ("a", "b"))

    assert (first.WHERE, second.WHERE) == ("a", "b")
    assert first.__name__ != second.__name__
    assert "net" not in sys.modules


def test_a_changed_file_is_loaded_afresh(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("WIDTH = 1\n")
    load_module(file)
    file.write_text("WIDTH = 2\n")

    assert load_module(file).WIDTH == 2


def test_a_script_may_import_its_sibling_but_not_replace_a_library(tmp_path: Path) -> None:
    (tmp_path / "sibling_of_net.py").write_text("WIDTH = 7\n")
    (tmp_path / "colorsys.py").write_text("raise SystemExit('shadowed')\n")
    (tmp_path / "net.py").write_text("import colorsys\nfrom sibling_of_net import WIDTH\n")

    assert load_module(tmp_path / "net.py").WIDTH == 7


def test_a_wrong_class_name_lists_the_classes_there_are(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(f"{NET}\nclass Other(Net):\n    pass\n")

    with pytest.raises(
        ModelScriptError, match=r"Ent is not there; its nn\.Module classes: Net, Other"
    ):
        load_model_class("net.py", "Ent", workspace=tmp_path)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("def broken(:\n", r"net\.py: line 1: "),
        ("x = 1\n\n1 / 0\n", r"net\.py: line 3: import raised ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("Net = 3\n", "Net is not an nn.Module class; it defines none"),
        (NET.replace("width=3", "width"), r"Net\(\) raised TypeError"),
        ("\0", "null bytes"),
    ],
)
def test_a_file_that_does_not_work_is_named(tmp_path: Path, source: str, text: str) -> None:
    (tmp_path / "net.py").write_text(source)

    with pytest.raises(ModelScriptError, match=text) as caught:
        build_model("net.py", "Net", workspace=tmp_path)

    assert caught.value.where == "net.py"


@pytest.mark.parametrize("path", ["missing.py", ".", "notes.txt"])
def test_what_is_no_python_file_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(ModelScriptError, match=r"no such file|not a \.py file"):
        build_model(path, "Net", workspace=tmp_path)


def test_module_names_are_identifiers() -> None:
    assert module_name(Path("/a/my net-2.py")).isidentifier()
