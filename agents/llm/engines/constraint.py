"""What an answer must look like, decided token by token: grammars, schemas, choices."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # specs are read and requests made without NumPy
    from agents.llm.engines.token_bits import Words

_MAX_FORCED = 1024  # at a time


class Constraint(Protocol):
    """Follows one answer and says which tokens may come next.

    An engine calls it from its own thread, in this order: `forced`; where nothing is forced,
    `fill`, and a token is chosen; then `accept` for each token of the answer, forced ones too. It
    is asked again until `is_finished`. What it raises fails its own request and no other. One
    object serves one request.
    """

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete, so that nothing but an end token could follow.

        The engine ends the answer with the reason `stop`, without asking the model for that token.
        """
        ...

    def fill(self, words: "Words") -> None:
        """Set the bit of each token that may come next, and clear all the others.

        The end tokens are tokens like any others: allowed where the answer may end.

        Args:
            words: as many as `token_bits.words_for` says, which belong to the engine. Bits beyond
                the vocabulary are ignored.
        """
        ...

    def accept(self, token_id: int) -> None:
        """Go on with this token, which was allowed. An end token ends all and is not told."""
        ...

    def forced(self) -> tuple[int, ...]:
        """The tokens that are the only possible continuation from here; often none.

        The model is not asked for them: they are appended and read together. Never end tokens.
        """
        ...


def forced_tokens(constraint: Constraint) -> list[int]:
    """Follow `constraint` as far as one token only is possible."""
    token_ids: list[int] = []
    while len(token_ids) < _MAX_FORCED and (forced := constraint.forced()):
        for token_id in forced:
            constraint.accept(token_id)
        token_ids += forced
    return token_ids
