"""Whatever parts are chosen, the optimizer works, and takes the arguments that were asked for."""

import inspect
from itertools import combinations, product
from random import Random
from typing import Any, get_args

import pytest
import torch
from torch.optim import Optimizer

from agents.ml.errors import ConfigError
from agents.ml.models.source_check import parse_source
from agents.ml.models.undefined_names import undefined_names
from agents.ml.optimizers import gate as optimizer_gate
from agents.ml.update_rules.hyperparameters import HYPERPARAMETERS, candidates
from agents.ml.update_rules.request import CustomOptimizer
from agents.ml.update_rules.rule import UpdateRule, read_rule, rule_schema
from agents.ml.update_rules.source import write_source

WITH_ARGUMENT = {  # the document's
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
PLACES = {
    name: get_args(field.annotation)
    for name, field in UpdateRule.model_fields.items()
    if name != "uses"
}
PLAINEST = {name: parts[0] for name, parts in PLACES.items()} | {"uses": "none"}


def asked(**details: Any) -> CustomOptimizer:
    return CustomOptimizer.read({"description": "an optimizer", **details})


def built(of: CustomOptimizer, parts: dict[str, str]) -> type[Optimizer]:
    source = write_source("Written", of, *read_rule(parts, of))
    parse_source(source, "Written", "written.py")
    module: dict[str, Any] = {}
    exec(source, module)
    kind: type[Optimizer] = module["Written"]
    return kind


def require_works(kind: type[Optimizer]) -> None:
    optimizer_gate._lowers_a_quadratic(kind)
    optimizer_gate._leaves_what_has_no_gradient(kind)
    optimizer_gate._takes_groups(kind)
    optimizer_gate._goes_on_from_its_state(kind)


PAIRS = [
    {place: part, other: second}
    for place, other in combinations(PLACES, 2)
    for part, second in product(PLACES[place][1:], PLACES[other][1:])
]


def test_every_pair_of_parts_makes_an_optimizer_that_works() -> None:
    of = asked()
    for pair in PAIRS:
        require_works(built(of, PLAINEST | pair))


def test_parts_at_random_make_optimizers_that_work() -> None:
    random = Random(0)
    for details in (WITH_ARGUMENT, IN_WORDS, {"description": "x"}) * 15:
        of = CustomOptimizer.read(details)
        schema = rule_schema(of)
        assert schema is not None
        places = schema["properties"].items()
        require_works(built(of, {name: random.choice(each["enum"]) for name, each in places}))


@pytest.mark.parametrize("name", [name for name in HYPERPARAMETERS if name != "lr"])
@pytest.mark.parametrize("value", [0.5, None])
def test_an_argument_is_the_hyperparameter_of_its_name_and_switches_its_part_on(
    name: str, value: float | None
) -> None:
    value = 7 if name == "schedule_steps" else value
    of = asked(additional_params={name: value})

    kind = built(of, PLAINEST | {"uses": f"{name} is {name}"})

    default = inspect.signature(kind).parameters[name].default
    assert default == (HYPERPARAMETERS[name].default if value is None else value)
    require_works(kind)
    weights = [[torch.nn.Parameter(torch.full((2, 2), 2.0)) for _ in range(2)] for _ in range(2)]
    vectors = [torch.nn.Parameter(torch.full((2,), 2.0)) for _ in range(2)]
    ends = []
    for parameters, vector, given in zip(weights, vectors, ({}, {name: _other(name)}), strict=True):
        optimizer = kind([*parameters, vector], **given)
        for step in range(3):
            for parameter in (*parameters, vector):
                parameter.grad = torch.full_like(parameter, 1.0 + step)
            optimizer.step()
        ends.append(torch.cat([p.detach().flatten() for p in (*parameters, vector)]))
    assert not torch.equal(*ends)


def _other(name: str) -> float:
    return {"schedule_steps": 50.0, "eps": 0.25, "max_norm": 0.1}.get(name, 0.25)


def test_the_document_s_arguments_are_the_constructor_s() -> None:
    momentum = CustomOptimizer.read(WITH_ARGUMENT)
    focal = CustomOptimizer.read(IN_WORDS)

    first = inspect.signature(
        built(momentum, PLAINEST | {"uses": "nesterov_momentum is vector_momentum"})
    )
    second = inspect.signature(
        built(focal, PLAINEST | {"uses": "focal_weight_decay is weight_decay"})
    )

    assert first.parameters["nesterov_momentum"].default == 0.9
    assert second.parameters["focal_weight_decay"].default == 0.01
    assert "weight_decay" not in second.parameters


def test_a_base_optimizer_leaves_the_parts_that_make_it_what_it_is() -> None:
    schema = rule_schema(asked(base_optimizer="AdamW"))

    assert schema is not None
    assert schema["properties"]["weight_decay"] == {"enum": ["decoupled"]}
    assert "none" not in schema["properties"]["momentum"]["enum"]


@pytest.mark.parametrize(
    ("name", "value", "roles"),
    [
        ("nesterov_momentum", 0.9, ("momentum", "vector_momentum")),
        ("beta2", 0.99, ("beta2",)),
        ("second_beta", 0.99, ("beta2",)),
        ("focal_weight_decay", None, ("weight_decay", "vector_weight_decay")),
        ("warmup_steps", 100, ("schedule_steps",)),
        ("warmup_steps", 0.1, ()),
        ("clip_norm", -1.0, ()),
        ("lr", 0.1, ("lr",)),
        ("learning_rate", 0.1, ()),
        ("temperature", "high", ()),
        ("temperature", True, ()),
        (
            "temperature",
            5,
            ("eps", "weight_decay", "vector_weight_decay", "max_norm", "schedule_steps"),
        ),
    ],
)
def test_names_and_values_tell_what_an_argument_can_be(
    name: str, value: Any, roles: tuple[str, ...]
) -> None:
    assert candidates(name, value) == roles


@pytest.mark.parametrize(
    "params", [{"mode": "fast"}, {"warmup_steps": 10, "decay_steps": 100}, {"use_sign": True}]
)
def test_arguments_that_no_part_takes_have_no_rule(params: dict[str, Any]) -> None:
    assert rule_schema(asked(additional_params=params)) is None


@pytest.mark.parametrize(
    ("details", "where"),
    [
        (None, "optimizer_details.description"),
        ({}, "optimizer_details.description"),
        ({"description": " "}, "optimizer_details.description"),
        ({"description": "x", "base": "Adam"}, "optimizer_details.base"),
        ({"description": "x", "additional_params": {"a b": 1}}, "optimizer_details.additional"),
        ({"description": "x", "additional_params": {"class": 1}}, "optimizer_details.additional"),
        ({"description": "x", "additional_params": {"self": 1}}, "optimizer_details.additional"),
    ],
)
def test_details_that_are_wrong_are_refused_by_name(details: Any, where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        CustomOptimizer.read(details)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"momentum": "lots"}, "rule.momentum"),
        ({"uses": "lr is momentum"}, "rule.uses"),
        ({"extra": 1}, "rule.extra"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(change: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        read_rule(PLAINEST | change, asked())


@pytest.mark.parametrize("text", ['"""\nimport os\n"""', "\\", "\0\n\u2028{name}", "x" * 9000])
def test_a_description_cannot_leave_its_docstring(text: str) -> None:
    of = asked(description=f"an optimizer {text}")

    source = write_source("Written", of, *read_rule(PLAINEST, of))

    assert "\nimport os" not in source
    assert undefined_names(source) == {}
    require_works(built(of, PLAINEST))


def test_the_source_is_formatted_and_imports_what_it_uses() -> None:
    source = write_source("Written", asked(), *read_rule(PLAINEST, asked()))

    assert "import math" not in source
    assert max(map(len, source.splitlines())) <= 100


def test_a_sparse_gradient_is_refused_by_name() -> None:
    embedding = torch.nn.Embedding(3, 2, sparse=True)
    optimizer = built(asked(), PLAINEST)(embedding.parameters())
    torch.autograd.backward(embedding(torch.tensor([1])).sum())

    with pytest.raises(RuntimeError, match="Written takes no sparse gradients"):
        optimizer.step()
