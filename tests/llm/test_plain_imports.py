import subprocess
import sys

import pytest

# What `agents` itself needs to know that it is ours, and to import its names lazily.
ALLOWED = {"messaging", "messaging._lazy", "messaging._origin"}


def loaded_after(code: str) -> set[str]:
    """The names of all modules in a fresh interpreter that has run `code`."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    command = [sys.executable, "-c", script]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("name", ["engines", "parsing", "tools", "chat", "endpoint", "models"])
def test_plain_libraries_bring_neither_bus_nor_torch(name: str) -> None:
    loaded = loaded_after(f"import agents.llm.{name}")

    heavy = {"torch", "transformers", "tokenizers", "jinja2", "redis", "structlog", "guild"}
    ours = {module for module in loaded if module.partition(".")[0] in {"guild", "messaging"}}
    assert f"agents.llm.{name}" in loaded
    assert ours <= ALLOWED
    assert not loaded & heavy


def test_the_check_can_fail() -> None:
    loaded = loaded_after("from agents.llm import LLMPhiAgent")

    assert {"guild", "messaging.handling.context"} <= loaded


def test_the_package_gives_its_names_when_asked() -> None:
    code = "import agents.llm\nassert all(getattr(agents.llm, n) for n in agents.llm.__all__)"

    assert "agents.llm.bus.phi_agent" in loaded_after(code)


def test_a_spec_with_states_is_read_where_no_extra_is_installed() -> None:
    code = """
for name in ("llguidance", "torch", "numpy", "jsonschema"):
    sys.modules[name] = None
from guild import GuildBuilder
from guild.checking.schema import schema_text
GuildBuilder.from_yaml_file("specs/stateful.yaml")
assert "llm.stateful" in schema_text()
"""

    assert "agents.llm.stateful.agent" in loaded_after(code)


def test_the_phi_agent_has_the_path_of_its_document() -> None:
    code = (
        "from agents.llm.phi_agent import LLMPhiAgent, PhiAgentProps\n"
        "import agents.llm\n"
        "assert agents.llm.LLMPhiAgent is LLMPhiAgent"
    )

    assert "agents.llm.phi_agent" in loaded_after(code)
