from pathlib import Path

import pytest

from agents.ml.assembler import check_model_source, install_model_source
from agents.ml.assembler.gate import Claims
from agents.ml.assembler.jobs import assemble
from agents.ml.errors import ModelScriptError

HEAD = "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
GOOD = (
    f"{HEAD}    def __init__(self):\n        super().__init__()\n"
    "        self.fc = nn.Linear(4, 2)\n\n"
    "    def forward(self, x):\n        return self.fc(x)\n"
)
CLAIMS = Claims(class_name="Net", input_shape=(4,), output_shape=(2,), total_params=10)


def forward(body: str) -> str:
    return GOOD.replace("return self.fc(x)", body)


def test_good_code_passes_and_says_what_was_checked(tmp_path: Path) -> None:
    checked = check_model_source(GOOD, CLAIMS, script=tmp_path / "net.py")

    assert (checked.output_shape, checked.total_params) == ((2,), 10)
    assert "forward with batches of 2 and 3 on the meta device" in checked.checks
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("class Net(nn.Module:\n", "line 1"),
        ("\0", "null bytes"),
        ("(" * 10_000, "line 1|cannot be parsed|too many nested"),
        ("-" * 100_000 + "1", "cannot be parsed|too"),
        ("x = 1\n" * 100_000, "longer than"),
        ("x = 1\n", "no class Net; it defines none"),
        ("class Other:\n    pass\n", "no class Net; it defines Other"),
        ("class Net:\n    pass\n", "not an nn.Module"),
        (f"{GOOD}\nimport not_there\n", r"line \d+: import raised ModuleNotFoundError"),
        (f"{GOOD}\nraise SystemExit\n", "SystemExit"),
        (GOOD.replace("__init__(self)", "__init__(self, width)"), "asks for width"),
        (GOOD.replace("nn.Linear(4, 2)", "nn.Linear(5, 2)"), "forward with float32 input"),
        (GOOD.replace("nn.Linear(4, 2)", "nn.Linear(4, 3)"), r"is \(B, 3\) and should be \(B, 2\)"),
        (GOOD.replace("nn.Linear(4, 2)", "nn.Linear(4, 2, bias=False)"), "has 8 parameters"),
        (GOOD.replace("nn.Linear(4, 2)", "nn.LazyLinear(2)"), "is lazy"),
        (GOOD.replace("nn.Linear(4, 2)", "missing"), "line 8: 'missing' is not defined"),
        (GOOD.replace("nn.Linear(4, 2)", "nn.Missing(4)"), "construction with"),
        (forward("return self.fc(x), x"), "one tensor, not tuple"),
        (forward("return self.fc(x).sum(0)"), "lost the batch"),
        (forward("return self.fc(x).view(2, 2)"), "forward with float32 input|invalid for input"),
        (forward("return self.fc(x).detach()"), "does not depend"),
        (forward("return self.fc(x).sigmoid().mul_(2)"), "backward raised"),
        (forward("return self.fc(x) if len(x) < 9 else F.relu(x)"), "'F' is not defined"),
    ],
)
def test_bad_code_is_refused_with_a_reason(tmp_path: Path, source: str, text: str) -> None:
    script = tmp_path / "net.py"

    with pytest.raises(ModelScriptError, match=text):
        install_model_source(source, CLAIMS, script=script)

    assert list(tmp_path.iterdir()) == []


def test_the_budget_holds_for_written_code_too(tmp_path: Path) -> None:
    source = GOOD.replace("nn.Linear(4, 2)", "nn.Linear(4, 2); self.big = nn.Linear(10**6, 10**6)")

    with pytest.raises(ModelScriptError, match="the budget is"):
        check_model_source(source, CLAIMS, script=tmp_path / "net.py")


def test_code_that_looks_at_values_is_run_for_real(tmp_path: Path) -> None:
    source = forward("return self.fc(x) if x.sum() < 1e9 else x")

    checked = check_model_source(source, CLAIMS, script=tmp_path / "net.py")

    assert "forward with batches of 2 and 3 on the CPU" in checked.checks


def test_a_refused_rewrite_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    script = tmp_path / "net.py"
    install_model_source(GOOD, CLAIMS, script=script)

    with pytest.raises(ModelScriptError):
        install_model_source(forward("return x.nothing"), CLAIMS, script=script)

    assert script.read_text() == GOOD
    assert list(tmp_path.iterdir()) == [script]


@pytest.mark.parametrize("name", ["n" * 300 + ".py", "file/net.py"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(ModelScriptError, match=r"cannot be written: .*; nothing of it is left"):
        install_model_source(GOOD, CLAIMS, script=tmp_path / name)

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_name_that_is_too_long_is_told_as_one(tmp_path: Path) -> None:
    payload = {
        "model_config": {"model_name": "Net", "input_shape": [4], "layers": [{"type": "ReLU"}]},
        "output_script_path": f"{'x' * 300}.py",
        "workspace": str(tmp_path),
    }

    with pytest.raises(ModelScriptError, match="cannot be written: File name too long"):
        assemble(payload, lambda _: None)

    assert not list(tmp_path.iterdir())
