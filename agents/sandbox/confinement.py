"""What the zygote is told about the fence it lives in."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Self

from agents.sandbox.fence.scene import Scene

NOBODY = 65_534  # the user that jobs run as, where that can be another than the operator


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How jobs are kept apart from the machine, and from each other.

    Attributes:
        workspace: their working directory.
        read_only: what the operator shows besides, which may be for this user's eyes alone.
        scene: what lies behind the fence; None where there is none.
        is_built: whether something else has put the fence up around the zygote already.
        owner: the user and group that jobs become; None for those of the zygote.
    """

    workspace: str
    read_only: tuple[str, ...] = ()
    scene: Scene | None = None
    is_built: bool = False
    owner: tuple[int, int] | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        data = json.loads(text)
        if data["scene"] is not None:
            data["scene"] = Scene.from_json(data["scene"])
        return cls(**data)

    def with_owner(self, owner: tuple[int, int]) -> Self:
        return replace(self, owner=owner)
