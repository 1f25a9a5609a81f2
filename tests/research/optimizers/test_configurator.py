"""The optimizer configurator: what is registered, what a language model writes, what is refused."""

import ast
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents.llm.engines import EngineConfig, ModelRegistry
from agents.research import ResearchToolkit, tools
from agents.research.errors import (
    NoLanguageModelError,
    NoWorkingCodeError,
    OutsideWorkspaceError,
    WorkRefusedError,
)
from agents.research.jobs import Jobs
from agents.research.messages import EvaluateQuickly
from agents.research.optimizers.messages import (
    ConfigureOptimizer,
    OptimizerConfigured,
    OptimizerRegistered,
)
from agents.research.optimizers.tools import configure
from agents.research.writing.client import LanguageModel
from agents.research.writing.settings import WritingProps
from tests.llm.tiny_phi import save_tiny_phi
from tests.research.conftest import in_the_loop_of
from tests.research.forgers import BASE

pytestmark = pytest.mark.slow

SCRIPT = "configured.py"

TUNED = {  # the document's
    "type": "AdamW",
    "default_params": {"lr": 0.0005, "weight_decay": 0.01},
    "param_groups": [
        {"name_regex": "features.*", "lr": 0.0001},
        {"name_regex": "classifier.*", "lr": 0.005},
    ],
}
WITH_ARGUMENT = {
    "description": "Implement a custom optimizer called 'MomentumAdam' that combines Adam's "
    "adaptive learning rates with a stronger Nesterov momentum term, especially for parameters in "
    "BatchNorm layers.",
    "base_optimizer": "Adam",
    "additional_params": {"nesterov_momentum": 0.9},
}
IN_WORDS = {
    "description": "A new optimizer that is a variant of Adam but applies an aggressive cosine "
    "decay schedule to the learning rate for the first 10% of training steps and then a fixed "
    "learning rate. It should also have a special 'focal_weight_decay' parameter."
}
GOOD = """```python
import torch
from torch.optim import Optimizer


class Signed(Optimizer):
    def __init__(self, params, lr=0.01, sharpness=2.0):
        super().__init__(params, {"lr": lr, "sharpness": sharpness})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(torch.tanh(group["sharpness"] * p.grad), alpha=group["lr"])
        return loss
```"""
SIGNED = {"description": "steps by a soft sign", "additional_params": {"sharpness": 2.0}}
UNDEFINED = GOOD.replace("torch.tanh", "F.tanh")
NO_ARGUMENT = GOOD.replace(", sharpness=2.0", "").replace(": sharpness}", ": 2.0}")
OTHER_DEFAULT = GOOD.replace("=2.0", "=3.0")
CLIMBS = GOOD.replace("p.sub_", "p.add_")
RULE_PARTS = ["nesterov", "cosine_then_constant", "own_weight_decay", "centralized", "decoupled"]


class Nobody:
    def emit(self, message: object, /) -> None:
        pass


class Tool(NamedTuple):
    kit: ResearchToolkit
    models: ModelRegistry

    @property
    def jobs(self) -> Jobs:
        return self.kit._jobs

    async def __call__(self, llm: EngineConfig | WritingProps | None = None, **asked: Any) -> Any:
        settings = llm if isinstance(llm, WritingProps) else WritingProps(llm=llm)
        client = LanguageModel(settings, self.models, self.jobs.files, remedy="set 'llm'")
        asked.setdefault("action", "register_custom_optimizer")
        request = ConfigureOptimizer.model_validate(asked)
        work = configure(self.jobs, client, request, Nobody())
        return await in_the_loop_of(self.kit, work)

    async def evaluate(self, optimizer: str) -> float:
        config = {"dataset": "digits", "epochs": 2, "optimizer": optimizer, "device": "cpu"}
        model = {"model_script_path": SCRIPT, "model_class_name": "Model"}
        request = EvaluateQuickly(**model, eval_config=config)
        work = tools.evaluate_quickly(self.jobs, request, Nobody())
        done = await in_the_loop_of(self.kit, work)
        accuracy: float = done.result["metrics"]["accuracy"]
        return accuracy

    def source(self, path: str) -> str:
        return (self.jobs.workspace / path).read_text()


@pytest.fixture(scope="module")
def tool(common_kit: ResearchToolkit, common_workspace: Path, models: ModelRegistry) -> Tool:
    (common_workspace / SCRIPT).write_text(BASE)
    return Tool(common_kit, models)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> EngineConfig:
    folder = tmp_path_factory.mktemp("random")
    return EngineConfig(model=str(save_tiny_phi(folder, corpus=RULE_PARTS, context_window=4096)))


def scripted(*replies: str) -> EngineConfig:
    return EngineConfig(model="script", backend="scripted", options={"replies": list(replies)})


def constructor(source: str, name: str) -> dict[str, Any]:
    """The arguments of the class's constructor that have defaults."""
    tree = ast.parse(source)
    kind = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    init = next(n for n in kind.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    names = [argument.arg for argument in init.args.args][-len(init.args.defaults) :]
    return dict(zip(names, map(ast.literal_eval, init.args.defaults), strict=True))


async def test_a_config_is_registered_and_told_in_the_terms_it_was_given(tool: Tool) -> None:
    done = await tool(action="generate_config", config_name="tuned_adamw", optimizer_details=TUNED)

    assert done == OptimizerConfigured(config_name="tuned_adamw", config=TUNED)


async def test_code_is_asked_for_until_it_is_an_optimizer_and_then_serves(tool: Tool) -> None:
    told = scripted("A poem.", UNDEFINED, NO_ARGUMENT, OTHER_DEFAULT, CLIMBS, GOOD)

    done = await tool(
        WritingProps(llm=told, attempts=6),
        config_name="Signed",
        optimizer_details=SIGNED,
        output_script_path="src/optimizers/signed.py",
    )

    assert isinstance(done, OptimizerRegistered)
    assert (done.generated_by, done.wrote, done.attempts) == ("llm", "code", 6)
    assert done.usage.completion_tokens > 6
    assert "lowers a quadratic" in done.checks
    assert "torch.tanh(group" in tool.source(done.script_path)
    assert await tool.evaluate("Signed") > 0.5
    derived = {"type": "Signed", "default_params": {"lr": 0.02}}
    config = await tool(
        action="generate_config", config_name="fast_signed", optimizer_details=derived
    )
    assert config.config["default_params"] == {"lr": 0.02}
    assert await tool.evaluate("fast_signed") > 0.5


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("A poem.", "no Python file"),
        (UNDEFINED, "'F' is not defined"),
        (NO_ARGUMENT, "must have the argument sharpness=2.0"),
        (OTHER_DEFAULT, "must have the argument sharpness=2.0"),
        (CLIMBS, "lowers a quadratic"),
        (GOOD.replace("class Signed", "class Other"), "no class Signed; it defines Other"),
    ],
)
async def test_what_does_not_pass_is_told_and_leaves_nothing(
    tool: Tool, reply: str, problem: str
) -> None:
    with pytest.raises(NoWorkingCodeError, match=problem):
        await tool(
            WritingProps(llm=scripted(reply), attempts=1),
            config_name="Signed",
            optimizer_details=SIGNED,
            output_script_path="refused/signed.py",
        )

    folder = tool.jobs.workspace / "refused"
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "details", "argument"),
    [
        ("MomentumAdam", WITH_ARGUMENT, "nesterov_momentum"),
        ("FocalAdam", IN_WORDS, "focal_weight_decay"),
    ],
)
async def test_a_random_model_puts_together_what_works_at_once(
    tool: Tool, random_model: EngineConfig, name: str, details: dict[str, Any], argument: str
) -> None:
    path = f"src/optimizers/{name}.py"
    asked = {"config_name": name, "optimizer_details": details, "output_script_path": path}

    done = await tool(random_model, **asked)

    assert (done.wrote, done.attempts) == ("rule", 1)
    assert argument in constructor(tool.source(path), name)
    source = tool.source(path)
    again = await tool(random_model, **asked)
    assert (again.attempts, again.usage.total_tokens) == (0, 0)
    assert tool.source(path) == source
    assert await tool.evaluate(name) > 0.2


async def test_what_no_part_takes_is_written_as_code_or_not_at_all(
    tool: Tool, random_model: EngineConfig
) -> None:
    details = {"description": "an optimizer", "additional_params": {"mode": "fast"}}

    with pytest.raises(NoWorkingCodeError, match="no Python file"):
        await tool(
            WritingProps(llm=random_model, attempts=1, max_new_tokens=8),
            config_name="Moody",
            optimizer_details=details,
            output_script_path="moody.py",
        )


async def test_without_a_language_model_no_class_is_written(tool: Tool) -> None:
    with pytest.raises(NoLanguageModelError, match=r"write the optimizer Signed.*: set 'llm'"):
        await tool(config_name="Signed", optimizer_details=SIGNED, output_script_path="s.py")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"optimizer_details": None}, "description"),
        ({"optimizer_details": {"describtion": "x"}}, "did you mean 'description'"),
        ({"config_name": "Adam"}, "choose another name"),
        ({"config_name": "my optimizer"}, "cannot be the name of a class"),
        ({"config_name": "class"}, "cannot be the name of a class"),
        ({"output_script_path": None}, "output_script_path: is required"),
        ({"output_script_path": "signed.txt"}, "no name for a .py file"),
    ],
)
async def test_a_wrong_request_costs_no_tokens(
    tool: Tool, change: dict[str, Any], where: str
) -> None:
    asked = {"config_name": "S", "optimizer_details": SIGNED, "output_script_path": "s.py"}

    with pytest.raises(WorkRefusedError, match=where):
        await tool(scripted(), **asked | change)


async def test_nothing_is_written_outside_the_workspace(tool: Tool, tmp_path: Path) -> None:
    path = str(tmp_path / "signed.py")

    with pytest.raises(OutsideWorkspaceError, match="output_script_path"):
        await tool(scripted(), config_name="S", optimizer_details=SIGNED, output_script_path=path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"optimizer_details": None}, "optimizer_details: is required"),
        ({"optimizer_details": TUNED | {"type": "AdamV"}}, "did you mean 'Adam'"),
        ({"optimizer_details": TUNED | {"default_params": {"lr": -1}}}, "optimizer.params.lr"),
        ({"optimizer_details": TUNED | {"param_groups": [{"lr": 1}]}}, "name_regex"),
        ({"optimizer_details": TUNED | {"defaults": {}}}, "optimizer.defaults: unknown key"),
        (
            {"optimizer_details": {"type": "X", "script_path": "x.py"}},
            "x.py: there is no such file",
        ),
        (
            {"optimizer_details": {"type": "X", "script_path": "/etc/hostname"}},
            "/etc/hostname: lies outside the workspace",
        ),
        ({"output_script_path": "x.py"}, "generate_config writes no file"),
        ({"config_name": "a/b"}, "is no name"),
    ],
)
async def test_a_wrong_config_is_refused_by_name(
    tool: Tool, change: dict[str, Any], told: str
) -> None:
    asked = {"config_name": "wrong", "optimizer_details": TUNED}

    with pytest.raises(WorkRefusedError, match=told):
        await tool(action="generate_config", **asked | change)
