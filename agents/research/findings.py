"""From the answers of a run to what its report says."""

import math
from collections.abc import Iterator
from typing import Any

from agents.llm.bus.messages import GenerationPromptResponse
from agents.research import plan
from agents.research.messages import (
    CheckpointEvaluated,
    CorpusCollected,
    LanguageModelTrained,
    ModelAssembled,
    ModelSummarised,
    QuickEvaluation,
    ReportWritten,
    TokenizerApplied,
    TokenizerTrained,
    TrainingFinished,
)
from agents.research.report.content import (
    Completion,
    Curve,
    GeneratedFile,
    HeldOutTest,
    LanguageModelFacts,
    ReportContent,
    Standing,
    StepTaken,
    TokenizerFacts,
    Training,
)
from agents.research.researcher.messages import StudyReport
from agents.research.run import Run
from agents.research.study import ResearchReport


def content_of(run: Run, ended_at: float) -> ReportContent:
    """Everything the run has found; what failed is left out and stands among the steps."""
    images = run.request.images
    return ReportContent(
        name=run.request.name,
        folder=run.request.folder,
        started_at=run.started_at,
        ended_at=ended_at,
        asked=run.request.model_dump(mode="json"),
        steps=_steps(run, ended_at),
        leaderboard=_leaderboard(run),
        dataset=images.dataset if images is not None else "",
        training=_training(run),
        test=_test(run),
        tokenizer=_tokenizer(run),
        language_model=_language_model(run),
        completion=_completion(run),
        code=list(_code(run)),
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
        leaderboard=tuple(content.leaderboard),
        test=content.test,
        bits_per_byte=model.bits_per_byte if model is not None else None,
        study=run.done(plan.SEARCH, StudyReport),
        completion=completion.prompt + completion.text if completion is not None else "",
        failures=tuple(f"{step.title}: {step.error}" for step in content.failures),
    )


def has_results(run: Run) -> bool:
    """Whether a language model was trained, something found or an architecture evaluated."""
    return (
        run.done(plan.LANGUAGE_MODEL, LanguageModelTrained) is not None
        or run.done(plan.SEARCH, StudyReport) is not None
        or bool(plan.ranking(run))
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


def _leaderboard(run: Run) -> list[Standing]:
    ranked = plan.ranking(run)
    names = [config["model_name"] for config in plan.architectures(run.request)]
    failed = [name for name in names if name not in ranked]
    return [_standing(run, name, rank) for rank, name in enumerate(ranked, 1)] + [
        _standing(run, name, None) for name in failed
    ]


def _standing(run: Run, name: str, rank: int | None) -> Standing:
    made = run.done(plan.assemble(name), ModelAssembled)
    summary = run.done(plan.summarise(name), ModelSummarised)
    evaluation = run.done(plan.evaluate(name), QuickEvaluation)
    metrics = evaluation.metrics if evaluation is not None else {}
    is_trained = plan.trained_architecture(run) == name
    outcome = "failed" if rank is None else "trained" if is_trained else "evaluated"
    return Standing.model_validate(
        {
            "name": name,
            "rank": rank,
            "params": summary.total_params if summary else made.total_params if made else None,
            "flops": summary.flops if summary else None,
            "accuracy": metrics.get("accuracy"),
            "f1": metrics.get("f1"),
            "seconds": evaluation.result["seconds"] if evaluation else None,
            "generated_by": made.generated_by if made else "",
            "outcome": outcome,
            "error": _first_error(run, name),
        }
    )


def _first_error(run: Run, name: str) -> str:
    steps = (plan.assemble(name), plan.summarise(name), plan.evaluate(name), plan.train(name))
    errors = [run.steps[step].error for step in steps if step in run.steps]
    return next(filter(None, errors), "")


def _training(run: Run) -> Training | None:
    name = plan.trained_architecture(run)
    trained = run.done(plan.train(name), TrainingFinished) if name is not None else None
    if name is None or trained is None or run.request.images is None:
        return None
    result = trained.result
    history = result["history"]
    return Training(
        model=name,
        epochs=len(history),
        epochs_asked=run.request.images.max_epochs,
        best_epoch=result["best_epoch"] or len(history),
        stopped_early=result["stopped_early"],
        checkpoint=result["best_checkpoint_path"] or result["experiment_dir"],
        loss=[
            _curve("training", history, "epoch", "train_loss"),
            _curve("validation", history, "epoch", "val_loss"),
        ],
        accuracy=[_curve("validation", history, "epoch", "val_accuracy")],
    )


def _test(run: Run) -> HeldOutTest | None:
    tested = run.done(plan.TEST, CheckpointEvaluated)
    if tested is None:
        return None
    result = tested.result
    confusion = result["confusion_matrix"] or []
    names = result["class_names"] or [str(index) for index in range(len(confusion))]
    return HeldOutTest(
        samples=result["samples"],
        accuracy=result["metrics"]["accuracy"],
        f1=result["metrics"]["f1"],
        loss=result["metrics"]["loss"],
        confusion=confusion,
        class_names=names,
    )


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


def _code(run: Run) -> Iterator[GeneratedFile]:
    for config in plan.architectures(run.request):
        made = run.done(plan.assemble(config["model_name"]), ModelAssembled)
        if made is not None:
            title = f"{made.model_name}, written by the {made.generated_by}"
            yield GeneratedFile(title=title, path=made.script_path)


def _curve(label: str, history: list[dict[str, Any]], x: str, y: str) -> Curve:
    known = [record for record in history if record.get(y) is not None]
    return Curve(
        label=label,
        x=[float(record[x]) for record in known],
        y=[float(record[y]) for record in known],
    )
