"""The document's loop of section 8: by calls, by messages and by a model that calls tools.

Each step is one line of `STEPS`; the three ways lead to the same files.
"""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.llm.bus.asking import AskByMessages
from agents.llm.bus.chat_agent import ChatAgent
from agents.llm.bus.resources import models
from agents.llm.tools import run_tools
from agents.research import ResearchToolkit
from agents.research.assembler import AssemblerAgent
from agents.research.jobs import open_jobs
from agents.research.messages import (
    AssembleModel,
    EvaluateQuickly,
    ManageTokenizer,
    SummariseModel,
    TrainFully,
)
from agents.research.optimizers.agent import OptimizerAgent
from agents.research.optimizers.messages import ConfigureOptimizer
from agents.research.scaffold.agent import ScaffoldAgent
from agents.research.scaffold.messages import CreateProject
from agents.research.tokenizer import TokenizerAgent
from agents.research.trainer import TrainerAgent
from agents.research.workspace.agent import WorkspaceAgent
from agents.research.workspace.messages import ListDirectory, ReadFile, RunCommand, RunScript
from guild import AgentBuilder, Guild, GuildBuilder
from messaging.wire.message import Message

pytestmark = pytest.mark.slow

PROJECT = "NewImageClassifier"
SCRIPT = f"{PROJECT}/src/models/assembled.py"
CONFIG = {
    "model_name": "Assembled",
    "input_shape": [1, 8, 8],
    "layers": [
        {"type": "Conv2d", "params": {"out_channels": 8, "kernel_size": 3, "padding": 1}},
        {"type": "ReLU"},
        {"type": "Flatten"},
        {"type": "Linear", "params": {"out_features": 10}},
    ],
}
MODEL = {"model_script_path": SCRIPT, "model_class_name": "Assembled"}
QUICK = {"dataset": "digits", "num_classes": 10, "epochs": 1, "metrics": ["accuracy"]}
FULL = {
    "dataset": "digits",
    "num_classes": 10,
    "epochs": 2,
    "optimizer": {"type": "tuned_adamw"},
    "metrics": ["accuracy"],
    "save_best_model": True,
}
TOKENIZER = {
    "type": "BPE",
    "vocab_size": 300,
    "data_files": [f"{PROJECT}/README.md"],
    "special_tokens": ["[PAD]", "[UNK]"],
    "min_frequency": 1,
}
OPTIMIZER = {
    "type": "AdamW",
    "default_params": {"lr": 0.002, "weight_decay": 0.01},
    "param_groups": [{"name_regex": ".*bias", "weight_decay": 0.0}],
}
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("create_pytorch_project_scaffold", {"project_name": PROJECT}),
    ("list_directory", {"path": f"{PROJECT}/src/models"}),
    ("read_file", {"file_path": f"{PROJECT}/src/models/small_cnn.py"}),
    ("pytorch_model_assembler", {"model_config": CONFIG, "output_script_path": SCRIPT}),
    ("pytorch_model_summary", {**MODEL, "input_size": [1, 1, 8, 8]}),
    ("pytorch_quick_evaluator", {**MODEL, "eval_config": QUICK}),
    (
        "pytorch_optimizer_configurator",
        {
            "action": "generate_config",
            "config_name": "tuned_adamw",
            "optimizer_details": OPTIMIZER,
        },
    ),
    (
        "pytorch_tokenizer_manager",
        {
            "action": "train",
            "tokenizer_name": "readme",
            "config": TOKENIZER,
            "tokenizer_path": f"{PROJECT}/models/tokenizer",
        },
    ),
    ("pytorch_full_trainer", {**MODEL, "trainer_config": FULL, "experiment_name": "promising"}),
    ("bash_run", {"command": "ls full_experiments/promising | grep -c metrics"}),
    ("python_run", {"script_path": f"{PROJECT}/train.py", "args": ["--epochs", "1"]}),
]
MESSAGES: Mapping[str, type[Message]] = {
    "create_pytorch_project_scaffold": CreateProject,
    "list_directory": ListDirectory,
    "read_file": ReadFile,
    "pytorch_model_assembler": AssembleModel,
    "pytorch_model_summary": SummariseModel,
    "pytorch_quick_evaluator": EvaluateQuickly,
    "pytorch_optimizer_configurator": ConfigureOptimizer,
    "pytorch_tokenizer_manager": ManageTokenizer,
    "pytorch_full_trainer": TrainFully,
    "bash_run": RunCommand,
    "python_run": RunScript,
}


def require_the_loop_was_done(workspace: Path) -> None:
    assert "class Assembled" in (workspace / SCRIPT).read_text()
    assert (workspace / PROJECT / "models" / "tokenizer" / "tokenizer.json").is_file()
    assert (workspace / "full_experiments" / "promising" / "metrics.jsonl").is_file()
    assert (workspace / PROJECT / "experiments" / "base" / "best.pt").is_file()


@pytest.mark.long
def test_the_loop_by_calls(tmp_path: Path) -> None:
    with ResearchToolkit(workspace=tmp_path) as kit:
        for name, arguments in STEPS:
            given = dict(arguments)
            positional = given.pop("args", ())
            if name == "python_run":
                given = {}
                positional = (arguments["script_path"], *positional)
            getattr(kit, name)(*positional, **given)

    require_the_loop_was_done(tmp_path)


def spec_of_all(workspace: Path, *replies: str) -> GuildBuilder:
    script = {
        "model": "script",
        "backend": "scripted",
        "context_window": 65_536,
        "options": {"replies": list(replies)},
    }
    builder = GuildBuilder("loop").add_resource("jobs", open_jobs, {"workspace": str(workspace)})
    builder.add_resource("models", models)
    classes = (
        *(ScaffoldAgent, WorkspaceAgent, AssemblerAgent, TrainerAgent),
        *(OptimizerAgent, TokenizerAgent),
    )
    for cls in classes:
        builder.add_agent_spec(AgentBuilder(cls).set_id(cls.__name__).build_spec())
    chat = AgentBuilder(ChatAgent).set_id("chat").listen_to_default_topic(False)
    chat.add_additional_topic("chat").set_properties(script)
    return builder.add_agent_spec(chat.build_spec())


@pytest.mark.long
async def test_the_loop_by_messages(tmp_path: Path) -> None:
    async with Guild.launch(spec_of_all(tmp_path).build_spec(), bus="memory://") as guild:
        for name, arguments in STEPS:
            given = {("arguments" if key == "args" else key): arguments[key] for key in arguments}
            message = MESSAGES[name].model_validate(given)
            await guild.client.request("default_topic", message, timeout_s=100)

    require_the_loop_was_done(tmp_path)


@pytest.fixture
async def calling_guild(tmp_path: Path) -> AsyncIterator[Guild]:
    calls = [
        f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"
        for name, arguments in STEPS
    ]
    spec = spec_of_all(tmp_path, *calls, "All done: the model is promising.").build_spec()
    async with Guild.launch(spec, bus="memory://") as guild:
        yield guild


async def test_the_loop_by_a_model_that_calls_tools(calling_guild: Guild, tmp_path: Path) -> None:
    with ResearchToolkit(workspace=tmp_path) as kit:
        tools = kit.tools()
        ask = AskByMessages(calling_guild.client, "chat", tools, max_new_tokens=1024)
        asked = [{"role": "user", "content": "Find a classifier for the digits."}]

        run = await run_tools(ask, asked, tools, max_rounds=len(STEPS) + 1)

    failed = [result.text for result in run.results if result.is_error]
    assert failed == []
    assert run.answer.text == "All done: the model is promising."
    assert "class SmallCNN" in run.results[2].text
    assert "wrote Assembled" in run.results[3].text
    assert "best val_accuracy" in run.results[-1].text
    require_the_loop_was_done(tmp_path)


def test_every_tool_of_the_document_is_offered_with_a_schema(tmp_path: Path) -> None:
    with ResearchToolkit(workspace=tmp_path) as kit:
        schemas = {tool.name: tool.schema["function"]["parameters"] for tool in kit.tools()}

    assert {name for name, _ in STEPS} <= schemas.keys()
    config = schemas["pytorch_model_assembler"]["$defs"]["ModelConfig"]
    assert config["required"] == ["model_name", "input_shape"]
    assert schemas["python_run"]["properties"].keys() == {"script_path", "args"}
