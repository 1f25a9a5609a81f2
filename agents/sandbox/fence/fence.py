"""What puts a fence up."""

from collections.abc import Sequence
from typing import Literal, Protocol

from agents.sandbox.fence.scene import Scene

FenceName = Literal["auto", "bubblewrap", "namespaces", "none"]


class Fence(Protocol):
    """One way to run the zygote apart from the machine; as text it says which, for people.

    Attributes:
        name: what the operator calls it.
        is_none: whether it keeps nothing apart.
        is_built: whether `wrap` puts the fence up; otherwise the zygote does so itself.
    """

    name: FenceName
    is_none: bool
    is_built: bool

    def wrap(self, command: Sequence[str], scene: Scene) -> list[str]:
        """The command line that runs `command`, behind the fence where that is built so."""
        ...


class Namespaces:
    """The fence that the zygote puts up around itself (`agents.sandbox.fence.namespaces`)."""

    name: FenceName = "namespaces"
    is_none = False
    is_built = False

    def __str__(self) -> str:
        return "namespaces, made without bubblewrap"

    def wrap(self, command: Sequence[str], scene: Scene) -> list[str]:  # noqa: ARG002
        return list(command)


class NoFence:
    """Limits and a clean environment alone: jobs have all the rights of the operator."""

    name: FenceName = "none"
    is_none = True
    is_built = False

    def __str__(self) -> str:
        return "none: foreign code has all the rights of this user"

    def wrap(self, command: Sequence[str], scene: Scene) -> list[str]:  # noqa: ARG002
        return list(command)
