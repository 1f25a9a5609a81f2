"""Spec -> YAML -> spec is the identity."""

import keyword
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guild.checking.loader import dump, dump_yaml
from guild.spec.document import read_yaml
from guild.spec.spec import GuildSpec

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,20}", fullmatch=True)
topics = st.lists(names, min_size=1, max_size=3).map(".".join)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
spiky = st.sampled_from(
    ["no", "yes", "on", "null", "~", "1e3", "0o17", "12:30", "1_000", "- a", "a: b", "#", "", " x",
     "x ", "${A:-b}", "${env:TOKEN}", "\x85", "\u2028", "\ufeff", "'", '"', "\\", "\t", "a\nb",
     "!x", "&x", "*x", "%", "@", "`", "a #b", "<<", "=", "---", "...", "? x", "[", "{", "\x00",
     *keyword.kwlist]
)  # fmt: skip
words = texts | spiky
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
properties = st.dictionaries(words, values, max_size=4)
references = st.sampled_from(["${A:-1}", "${A}", "$${", "x-${A:-b}.${B}"])
seconds = st.floats(0, 3600) | references
counts = st.integers(1, 100) | references

any_agents = st.fixed_dictionaries(
    {"id": names, "type": words.filter(bool)},
    optional={
        "name": words,
        "description": words,
        "topics": st.lists(topics | references, max_size=3),
        "properties": properties,
        "dependencies": st.dictionaries(words, words, max_size=2),
        "replicas": counts,
        "timeout_s": st.none() | st.floats(0.1, 1e6) | references,
        "only_when_tagged": st.booleans() | references,
        "answers": st.just("everyone"),
        "output_topic": st.none() | topics | references,
        "retry": st.fixed_dictionaries({}, optional={"attempts": counts}),
        "restart": st.fixed_dictionaries({}, optional={"within_s": seconds}),
    },
)
discreet = st.fixed_dictionaries(
    {"id": names, "type": words.filter(bool), "answers": st.just("requester")}
)
agents = any_agents | discreet
routes = st.fixed_dictionaries(
    {"message": words.filter(bool), "to": topics},
    optional={"from": names, "when": st.just("a > `1`"), "into": words},
)
specs = st.fixed_dictionaries(
    {"id": names},
    optional={
        "name": words,
        "bus": words.filter(bool),
        "agents": st.lists(agents, max_size=3),
        "routes": st.lists(routes, max_size=2),
        "resources": st.dictionaries(
            words,
            st.fixed_dictionaries({"type": st.just("x"), "properties": properties}),
            max_size=2,
        ),
        "topics": st.lists(topics, max_size=2),
        "ends": st.lists(words, max_size=2),
        "drain_s": seconds,
    },
)


@settings(max_examples=200, deadline=None)
@given(specs)
def test_a_spec_survives_yaml(data: dict[str, Any]) -> None:
    spec = GuildSpec.model_validate(data)

    again = GuildSpec.model_validate(read_yaml(dump_yaml(spec)).data)

    assert again == spec
    assert dump(again) == dump(spec)
