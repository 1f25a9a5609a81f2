import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agents.ml.models.script import build_model
from agents.sandbox import JobFailedError, JobKilledError, JobRunner

ASSEMBLE = "agents.ml.assembler.jobs:assemble"
CHECK = "agents.ml.assembler.jobs:check"
SUMMARISE = "agents.ml.models.summary:summarise"
CONFIG = {
    "model_name": "Net",
    "input_shape": [4],
    "layers": [{"type": "Linear", "params": {"out_features": 2}}],
}


NUMBERS = itertools.count()

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(workspace: Path) -> AsyncIterator[JobRunner]:
    """For all tests, because its process takes seconds of computing to start."""
    async with JobRunner(workspace=workspace, preload=("agents.ml.preload",)) as runner:
        yield runner


@pytest.fixture
def path() -> str:
    """Where a model of the test's own may be written."""
    return f"models/{next(NUMBERS)}/net.py"


async def test_a_config_becomes_a_file_in_a_child_process(
    runner: JobRunner, workspace: Path, path: str
) -> None:
    events: list[dict[str, Any]] = []
    payload = {"model_config": CONFIG, "output_script_path": path}

    result = await runner.run(ASSEMBLE, payload, on_event=events.append)

    assert result["path"] == path
    assert (workspace / path).read_text() == result["source"]
    assert (result["output_shape"], result["total_params"]) == ([2], 10)
    assert [event["step"] for event in events] == ["compiling", "checking"]
    assert build_model(path, "Net", workspace=workspace) is not None


async def test_a_layer_that_does_not_fit_keeps_its_name_across_the_process(
    runner: JobRunner, workspace: Path, path: str
) -> None:
    config = CONFIG | {"layers": [*CONFIG["layers"], {"type": "BatchNorm2d"}]}

    with pytest.raises(JobFailedError, match="BatchNorm2d") as caught:
        await runner.run(ASSEMBLE, {"model_config": config, "output_script_path": path})

    assert caught.value.where == "layers[1]"
    assert caught.value.kinds[:3] == ("MisfitError", "LayerError", "MLError")
    assert not (workspace / path).exists()


@pytest.mark.parametrize("outside", ["../net.py", "/tmp/net.py", "net.txt"])
async def test_a_place_outside_the_workspace_is_refused(runner: JobRunner, outside: str) -> None:
    with pytest.raises(JobFailedError) as caught:
        await runner.run(ASSEMBLE, {"model_config": CONFIG, "output_script_path": outside})

    assert (caught.value.error_type, caught.value.where) == ("ConfigError", "output_script_path")


async def test_written_code_passes_the_same_gate(
    runner: JobRunner, workspace: Path, path: str
) -> None:
    described = {"model_name": "Net", "input_shape": [4], "description": "one linear layer"}
    source = (
        "from torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 2)\n\n"
        "    def forward(self, x):\n        return self.fc(x)\n"
    )
    place = {"output_script_path": path}

    with pytest.raises(JobFailedError) as caught:
        await runner.run(ASSEMBLE, {"model_config": described, **place})
    result = await runner.run(CHECK, {"model_config": described, "source": source, **place})

    assert caught.value.error_type == "InexpressibleError"
    assert result["output_shape"] == [2]
    assert (workspace / path).read_text() == source


async def test_a_model_that_was_assembled_is_summarised_by_a_job(
    runner: JobRunner, path: str
) -> None:
    await runner.run(ASSEMBLE, {"model_config": CONFIG, "output_script_path": path})
    asked = {"model_script_path": path, "model_class_name": "Net", "input_size": [1, 4]}

    summary = await runner.run(SUMMARISE, asked)
    with pytest.raises(JobFailedError) as caught:
        await runner.run(SUMMARISE, asked | {"model_class_name": "Nett"})

    assert summary["total_params"] == 10
    assert caught.value.error_type == "ModelScriptError"


async def test_code_that_ends_its_process_is_refused_and_leaves_the_host_alive(
    runner: JobRunner, workspace: Path, path: str
) -> None:
    source = "import os\n\n\nclass Net:\n    pass\n\n\nos.abort()\n"

    with pytest.raises(JobKilledError, match="SIGABRT"):
        await runner.run(
            CHECK, {"model_config": CONFIG, "source": source, "output_script_path": path}
        )

    assert not (workspace / path).exists()
