"""From the answers of a run to what its report says."""

import math
from typing import Any

from agents.llm.bus.messages import GenerationPromptResponse
from agents.research.messages import (
    CorpusCollected,
    LanguageModelTrained,
    ReportWritten,
    TokenizerApplied,
    TokenizerTrained,
)
from agents.research.report.content import (
    Completion,
    Curve,
    LanguageModelFacts,
    ReportContent,
    StepTaken,
    TokenizerFacts,
)
from agents.research.researcher.messages import StudyReport
from agents.research.run import plan
from agents.research.run.messages import ResearchReport
from agents.research.run.plan import Run


def content_of(run: Run, ended_at: float) -> ReportContent:
    """Everything the run has found; what failed is left out and stands among the steps."""
    return ReportContent(
        name=run.request.name,
        folder=run.request.folder,
        started_at=run.started_at,
        ended_at=ended_at,
        asked=run.request.model_dump(mode="json"),
        steps=_steps(run, ended_at),
        tokenizer=_tokenizer(run),
        language_model=_language_model(run),
        completion=_completion(run),
    )


def report_of(run: Run, written: ReportWritten) -> ResearchReport:
    """The answer to everybody who asked for the run."""
    content = content_of(run, max(step.ended_at or 0.0 for step in run.steps.values()))
    model, completion = content.language_model, content.completion
    return ResearchReport(
        name=content.name,
        folder=content.folder,
        markdown_path=written.markdown_path,
        html_path=written.html_path,
        seconds=content.seconds,
        bits_per_byte=model.bits_per_byte if model is not None else None,
        study=run.done(plan.SEARCH, StudyReport),
        completion=completion.prompt + completion.text if completion is not None else "",
        failures=tuple(f"{step.title}: {step.error}" for step in content.failures),
    )


def has_results(run: Run) -> bool:
    """Whether a language model was trained or something found."""
    return (
        run.done(plan.LANGUAGE_MODEL, LanguageModelTrained) is not None
        or run.done(plan.SEARCH, StudyReport) is not None
    )


def _steps(run: Run, ended_at: float) -> list[StepTaken]:
    return [
        StepTaken(
            title=name,
            agent=step.agent,
            status="failed" if step.status == "failed" else "done",
            seconds=max(0.0, (step.ended_at or ended_at) - step.asked_at),
            error=step.error,
        )
        for name, step in run.steps.items()
        if name != plan.REPORT
    ]


def _tokenizer(run: Run) -> TokenizerFacts | None:
    corpus = run.done(plan.CORPUS, CorpusCollected)
    tokenizer = run.done(plan.TOKENIZER, TokenizerTrained)
    text = run.request.text
    if corpus is None or tokenizer is None or text is None:
        return None
    sample = run.done(plan.SAMPLE, TokenizerApplied)
    return TokenizerFacts(
        type="BPE",
        vocab_size_asked=text.vocab_size,
        vocab_size=tokenizer.vocab_size,
        corpus_files=corpus.files,
        corpus_bytes=corpus.size_bytes,
        sample_text=text.sample,
        sample_tokens=list(sample.pieces[0]) if sample is not None and sample.pieces else [],
    )


def _language_model(run: Run) -> LanguageModelFacts | None:
    trained = run.done(plan.LANGUAGE_MODEL, LanguageModelTrained)
    tokenizer = run.done(plan.TOKENIZER, TokenizerTrained)
    if trained is None or tokenizer is None:
        return None
    result = trained.result
    history = result["history"]
    return LanguageModelFacts(
        params=result["params"],
        steps=result["steps_run"],
        seconds=result["seconds"],
        val_loss=result["final_evaluation"]["loss"],
        bits_per_byte=result["final_evaluation"]["bits_per_byte"],
        uniform_loss=math.log(tokenizer.vocab_size),
        path=trained.model_path,
        loss=[
            _curve("training", history, "step", "train_loss"),
            _curve("validation", history, "step", "val_loss"),
        ],
    )


def _completion(run: Run) -> Completion | None:
    response = run.done(plan.COMPLETION, GenerationPromptResponse)
    if response is None:
        return None
    prompt = response.generation_prompt
    return Completion(prompt=prompt, text=response.generated_response.removeprefix(prompt))


def _curve(label: str, history: list[dict[str, Any]], x: str, y: str) -> Curve:
    known = [record for record in history if record.get(y) is not None]
    return Curve(
        label=label,
        x=[float(record[x]) for record in known],
        y=[float(record[y]) for record in known],
    )
