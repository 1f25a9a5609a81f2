"""What can go wrong with a constrained answer.

InvalidRequestError                  refused before anything is generated
├── SchemaError                      a schema, regex or grammar cannot be enforced
│   ├── UnsupportedKeywordError      one of its keywords cannot be
│   ├── UnsatisfiableError           no text satisfies it
│   ├── GrammarSyntaxError           it is not well formed
│   └── GrammarTooLargeError         it is larger than can be compiled
├── VocabularyError                  the tokenizer cannot spell it, or its tokens have no known text
└── BudgetTooSmallError              the shortest answer takes more tokens than are allowed
LLMInferenceError
├── ResultError                      the text is no instance of the type
│   └── FormIgnoredError             a server that was asked for such a text gave another one
└── ConstraintError                  a token was taken that the constraint forbids
"""

from agents.llm.engines.errors import InvalidRequestError, LLMInferenceError


class SchemaError(InvalidRequestError):
    """The schema, regex or grammar cannot be enforced."""

    def __init__(self, problem: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path


class UnsupportedKeywordError(SchemaError):
    """A keyword cannot be enforced, so answers might be invalid."""

    def __init__(self, keyword: str, why: str, *, path: str = "") -> None:
        super().__init__(f"{keyword!r} cannot be enforced: {why}", path=path)
        self.keyword = keyword
        self.why = why


class UnsatisfiableError(SchemaError):
    """No text satisfies it."""


class GrammarSyntaxError(SchemaError):
    """It is not well formed."""


class GrammarTooLargeError(SchemaError):
    """It is larger than can be compiled."""


class VocabularyError(InvalidRequestError):
    """The tokenizer cannot spell what the grammar asks for, or its tokens have no known text."""


class BudgetTooSmallError(InvalidRequestError):
    """The shortest answer takes more tokens than are allowed."""

    def __init__(self, *, needed_tokens: int, max_new_tokens: int) -> None:
        super().__init__(
            f"the shortest valid answer takes {needed_tokens} tokens, but max_new_tokens is "
            f"{max_new_tokens}; raise it to {needed_tokens} or more"
        )
        self.needed_tokens = needed_tokens
        self.max_new_tokens = max_new_tokens


class ResultError(LLMInferenceError):
    """The text is no instance of the type that was asked for."""

    def __init__(self, problem: str, text: str) -> None:
        super().__init__(problem)
        self.text = text


class FormIgnoredError(ResultError):
    """A server that was asked to keep to a form did not."""


class ConstraintError(LLMInferenceError):
    """A token was taken that the constraint forbids, or no token is left to take."""
