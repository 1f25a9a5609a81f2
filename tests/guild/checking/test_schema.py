"""The schema for editors agrees with the loader and is fresh."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from guild.checking.schema import SCHEMA_FILE, schema_text, spec_schema
from guild.spec.document import read_file, read_yaml

SPECS = sorted(SCHEMA_FILE.parent.glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    schema = spec_schema()
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def test_the_file_is_fresh() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), (
        "run: python -m guild.checking.schema"
    )


def test_there_are_specs_to_check() -> None:
    assert "hello.yaml" in {spec.name for spec in SPECS}


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.name)
def test_every_shipped_spec_fits_the_schema_and_names_it(
    spec: Path, validator: Draft7Validator
) -> None:
    assert list(validator.iter_errors(read_file(spec).data)) == []
    assert spec.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


@pytest.mark.parametrize(
    "text",
    [
        "id: x\nnam: y\n",
        "id: x\nagents: [{id: a, type: hello.greeter, topic: [a]}]\n",
        "id: x\nagents: [{id: a, type: hello.greeter, replicas: two}]\n",
        "id: x\nagents: [{id: a, type: hello.greeter, properties: {greetin: x}}]\n",
        "id: x\nagents: [{id: a, type: hello.counter, properties: {top: 0}}]\n",
        "id: x\nagents: [{id: a, type: hello.greter}]\n",
        "id: x\nresources: {r: {type: llm.models, properties: {idle: 1}}}\n",
        "id: x\nroutes: [{form: a, message: M, to: t}]\n",
        "agents: []\n",
    ],
)
def test_an_editor_marks_what_the_loader_refuses(text: str, validator: Draft7Validator) -> None:
    assert list(validator.iter_errors(read_yaml(text).data))


@pytest.mark.parametrize(
    "text",
    [
        "id: x\nagents: [{id: a, type: my.package.Agent, properties: {anything: 1}}]\n",
        "id: x\nagents: [{id: a, type: 'my.package:Agent'}]\n",
        "id: x\nagents: [{id: a, type: hello.counter, properties: {top: '${TOP:-3}'}}]\n",
        "id: x\nagents: [{id: a, type: '${TYPE:-hello.greeter}', replicas: '${N:-3}'}]\n",
        "id: x\nagents: [{id: a, type: hello.greeter, only_when_tagged: '${B:-yes}'}]\n",
        "id: x\nagents: [{id: a, type: hello.greeter, retry: {attempts: '${N:-3}'}}]\n",
        "id: x\nagents: [{id: a, type: hello.greeter, restart: {policy: '${P:-transient}'}}]\n",
        "id: x\nagents: [{id: a, type: hello.greeter, timeout_s: '${T:-3}'}]\ndrain_s: '${D}'\n",
        "id: x\nschedules: [{id: s, message: m, every_s: '${E:-5}', missed: '${M:-skip}'}]\n",
    ],
)
def test_an_editor_accepts_what_the_operator_may_allow(
    text: str, validator: Draft7Validator
) -> None:
    assert list(validator.iter_errors(read_yaml(text).data)) == []


def test_types_are_described_for_completion() -> None:
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())
    types = schema["definitions"]["AgentSpec"]["properties"]["type"]["anyOf"][0]

    described = dict(zip(types["enum"], types["enumDescriptions"], strict=True))
    assert described["hello.greeter"] == "Greets whoever is named."
