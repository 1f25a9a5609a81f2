import subprocess
import sys

AGENTS = (
    "assembler",
    "coordinator",
    "jobs",
    "messages",
    "optimizers.agent",
    "reporter",
    "run.messages",
    "tokenizer",
    "trainer",
)
HEAVY = ("torch", "transformers", "tokenizers", "sklearn", "matplotlib", "numpy", "rich")


def test_agents_and_messages_are_known_without_what_only_their_work_needs() -> None:
    code = "\n".join(
        [
            "import sys",
            *(f"import agents.research.{name}" for name in AGENTS),
            f"print([name for name in {HEAVY!r} if name in sys.modules])",
        ]
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
