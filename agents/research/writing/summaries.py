"""The prose above the table of a model's summary. No number comes from a language model."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from agents.research import tools
from agents.research.errors import LanguageModelError, NoWorkingCodeError, WorkRefusedError
from agents.research.jobs import Audience, Jobs
from agents.research.messages import SummariseModel
from agents.research.writing.answers import without_thoughts
from agents.research.writing.client import LanguageModel
from agents.research.writing.prompts import prompt
from agents.research.writing.task import Form, Task

_TABLE_CHARS = 4_000  # of what the language model is told
_PROSE_CHARS = 800
_WIDTH = 80
# Letters and commas only: what cannot be written need not be refused.
_PARAGRAPH = r"start: /[A-Z][a-zA-Z ,;-]{40,200}\./"
_WORD_WITH_DIGIT = re.compile(r"[^\s,;:()'\"`]*\d[^\s,;:()'\"`]*")
_NUMERAL = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|"
    r"fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|trillion|dozen)s?\b",
    re.IGNORECASE,
)


async def summarise(
    jobs: Jobs, llm: LanguageModel, request: SummariseModel, audience: Audience
) -> dict[str, Any]:
    """The summary, with prose above its table where there is a language model.

    Returns:
        as `agents.ml.models.summary.pytorch_model_summary`; where there is a language model besides
        `prose`, `generated_by`, `attempts`, `usage` and, if it wrote none, `prose_problem`.

    Raises:
        WorkRefusedError: names the file, class or size at fault.
    """
    summary = (await tools.summarise(jobs, request, audience)).result
    if not llm.is_there:
        return summary
    try:
        written = await llm.write(_task(request, summary), audience)
    except (LanguageModelError, NoWorkingCodeError) as error:
        told = {"prose": "", "prose_problem": str(error)}
        return {**summary, **told, "summary_str": _above(f"(No prose: {error})", summary)}
    prose = {"prose": written.value, **written.credits}
    return {**summary, **prose, "summary_str": _above(written.value, summary)}


def _task(request: SummariseModel, summary: Mapping[str, Any]) -> Task[str]:
    names = set(_names(request, summary))

    async def accept(answer: str) -> str:
        return _checked(answer, names)

    asked = prompt("summary", table=summary["summary_str"][:_TABLE_CHARS])
    forms = (Form("paragraph", asked, accept, _PARAGRAPH), Form("prose", asked, accept))
    return Task(f"a description of {request.model_class_name}", forms)


def _names(request: SummariseModel, summary: Mapping[str, Any]) -> Iterator[str]:
    """What may have digits in it."""
    yield request.model_class_name
    for row in summary["layer_details"]:
        name, kind = str(row.get("name")), str(row.get("type"))
        yield from (name, kind, f"{kind}s")


def _checked(answer: str, names: set[str]) -> str:
    """The paragraph, in one line.

    Raises:
        WorkRefusedError: it is empty or too long, or says numbers.
    """
    prose = " ".join(without_thoughts(answer).replace("```", " ").split())
    if not prose:
        raise _refused("the answer is empty")
    if len(prose) > _PROSE_CHARS:
        raise _refused(f"the answer has {len(prose):,} characters, of {_PROSE_CHARS} at most")
    said = [word.rstrip(".") for word in _WORD_WITH_DIGIT.findall(prose)]
    numbers = [word for word in said if word not in names]
    numbers += [match.group() for match in _NUMERAL.finditer(prose)]
    if numbers:
        raise _refused(f"the answer says {numbers[0]!r}; leave out all numbers, the table has them")
    return prose


def _refused(text: str) -> WorkRefusedError:
    return WorkRefusedError("AnswerError", text)


def _above(prose: str, summary: Mapping[str, Any]) -> str:
    return f"{textwrap.fill(prose, _WIDTH)}\n\n{summary['summary_str']}"
