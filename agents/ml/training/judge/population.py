"""Quick evaluations of one model, many at once, judged."""

from pathlib import Path
from typing import Any

from pydantic import Field

from agents.ml.config import StrictConfig, read_config
from agents.ml.errors import ScoringError
from agents.ml.training.claims import EpochClaims, MemberClaims, claims
from agents.ml.training.configs import MAX_SEED, read_quick_eval_config
from agents.ml.training.examination import Examination
from agents.ml.training.judge.quick import QuickPayload, quick_exam
from agents.ml.training.judge.turns import Turns
from agents.ml.training.progress import Channel
from agents.ml.training.quick import quick_result
from agents.ml.training.scoring import DIVERGED


class MemberConfig(StrictConfig):
    seed: int = Field(ge=0, le=MAX_SEED)
    learning_rate: float = Field(gt=0)


class PopulationPayload(QuickPayload):
    members: list[MemberConfig] = Field(min_length=1, max_length=1024)


def evaluate_population(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Evaluate one model once for each of `members`, {"seed", "learning_rate"}, at once if it pays.

    Returns:
        `members`, each as of `evaluate_quickly`, and whether it was trained `stacked`.
    """
    given = read_config(PopulationPayload, payload)
    config = read_quick_eval_config(given.eval_config)
    name = given.model_class_name
    session = Examination(channel, Path(given.exchange), quick_exam(config))
    turns = [Turns(session, epochs=config.epochs, of=name) for _ in given.members]
    histories: list[list[dict[str, Any]]] = [[] for _ in given.members]

    def answer(question: dict[str, Any]) -> dict[str, float]:
        member = claims(EpochClaims, question, of=name)["member"]
        if member >= len(turns):
            raise ScoringError(f"there is no member {member} to be scored", where=name)
        record = turns[member].scored(question)
        if record is None:
            return DIVERGED
        histories[member].append(record)
        return {}

    asked = given.model_dump(include={"model_script_path", "model_class_name", "members"})
    asked["config"] = config.model_dump(mode="json")
    said = session.run("train_members", asked, answer).get("members")
    if not isinstance(said, list) or len(said) != len(histories):
        raise ScoringError("its process gave no account of its work", where=name)
    results = []
    for index, member in enumerate(given.members):
        trained = claims(MemberClaims, said[index], of=name)
        if trained["status"] == "completed":
            turns[index].require_all(histories[index])
        own = config.model_copy(update={"seed": member.seed})
        result = quick_result(own, trained, histories[index], session.targets)
        results.append({**result, "self_reported": session.self_reported(MemberClaims)})
    return {"members": results}
