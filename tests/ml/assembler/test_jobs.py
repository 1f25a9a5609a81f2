from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.ml.assembler.jobs import assemble
from agents.ml.errors import ModelScriptError
from agents.ml.models.script import build_model
from agents.sandbox import JobFailedError, JobKilledError, JobRunner

ASSEMBLE = "agents.ml.assembler.jobs:assemble"
CHECK = "agents.ml.assembler.jobs:check"
CONFIG = {
    "model_name": "Net",
    "input_shape": [4],
    "layers": [{"type": "Linear", "params": {"out_features": 2}}],
}


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[JobRunner]:
    async with JobRunner(workspace=tmp_path, preload=("agents.ml.preload",)) as runner:
        yield runner


async def test_a_config_becomes_a_file_in_a_child_process(
    runner: JobRunner, tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = []
    payload = {"model_config": CONFIG, "output_script_path": "src/models/net.py"}

    result = await runner.run(ASSEMBLE, payload, on_event=events.append)

    assert result["path"] == "src/models/net.py"
    assert (tmp_path / "src/models/net.py").read_text() == result["source"]
    assert (result["output_shape"], result["total_params"]) == ([2], 10)
    assert [event["step"] for event in events] == ["compiling", "checking"]
    assert build_model("src/models/net.py", "Net", workspace=tmp_path) is not None


async def test_a_layer_that_does_not_fit_keeps_its_name_across_the_process(
    runner: JobRunner, tmp_path: Path
) -> None:
    config = CONFIG | {"layers": [*CONFIG["layers"], {"type": "BatchNorm2d"}]}

    with pytest.raises(JobFailedError, match="BatchNorm2d") as caught:
        await runner.run(ASSEMBLE, {"model_config": config, "output_script_path": "net.py"})

    assert caught.value.where == "layers[1]"
    assert caught.value.kinds[:3] == ("MisfitError", "LayerError", "MLError")
    assert not (tmp_path / "net.py").exists()


@pytest.mark.parametrize("path", ["../net.py", "/tmp/net.py", "net.txt"])
async def test_a_place_outside_the_workspace_is_refused(runner: JobRunner, path: str) -> None:
    with pytest.raises(JobFailedError) as caught:
        await runner.run(ASSEMBLE, {"model_config": CONFIG, "output_script_path": path})

    assert (caught.value.error_type, caught.value.where) == ("ConfigError", "output_script_path")


async def test_written_code_passes_the_same_gate(runner: JobRunner, tmp_path: Path) -> None:
    described = {"model_name": "Net", "input_shape": [4], "description": "one linear layer"}
    source = (
        "from torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 2)\n\n"
        "    def forward(self, x):\n        return self.fc(x)\n"
    )
    place = {"output_script_path": "net.py"}

    with pytest.raises(JobFailedError) as caught:
        await runner.run(ASSEMBLE, {"model_config": described, **place})
    result = await runner.run(CHECK, {"model_config": described, "source": source, **place})

    assert caught.value.error_type == "InexpressibleError"
    assert result["output_shape"] == [2]
    assert (tmp_path / "net.py").read_text() == source


async def test_code_that_ends_its_process_is_refused_and_leaves_the_host_alive(
    runner: JobRunner, tmp_path: Path
) -> None:
    source = "import os\n\n\nclass Net:\n    pass\n\n\nos.abort()\n"

    with pytest.raises(JobKilledError, match="SIGABRT"):
        await runner.run(
            CHECK, {"model_config": CONFIG, "source": source, "output_script_path": "net.py"}
        )

    assert not (tmp_path / "net.py").exists()


def test_a_name_that_is_too_long_is_told_as_one(tmp_path: Path) -> None:
    payload = {
        "model_config": {"model_name": "Net", "input_shape": [4], "layers": [{"type": "ReLU"}]},
        "output_script_path": f"{'x' * 300}.py",
        "workspace": str(tmp_path),
    }

    with pytest.raises(ModelScriptError, match="cannot be written: File name too long"):
        assemble(payload, lambda _: None)

    assert not list(tmp_path.iterdir())
