"""What a gateway refuses, before a guild hears of it.

RefusedError
├── HostNotAllowedError        the Host header is no name of this gateway
├── OriginNotAllowedError      a web page of another origin asks
├── AmbiguousLengthError       the head says twice, and differently, where the body ends
├── TokenMissingError          no token
├── TokenUnknownError          a token that no caller has, or has any more
├── ScopeMissingError          a token that may not do this
├── NoSuchPathError            nothing lies under this path
├── MethodNotAllowedError      the path takes other methods
├── BodyTypeError              the body is of another media type than JSON
├── BodyTooLargeError          the body is past its limit
├── BodyTooSlowError           the body did not come in time
├── BodyNotJsonError           the body is no JSON, or nested too deep
├── InvalidBodyError           the body is JSON of another shape
├── InvalidParameterError      a part of the path, a query parameter or a header does not fit
├── KeyReusedError             an Idempotency-Key that came with another body before
├── GatewayClosingError        the gateway ends before the answer is there
├── TooManyRequestsError       more requests than the caller may send
└── TooManyStreamsError        more streams than may be open
TokenFileError                 a file of tokens that cannot be used
└── TokenRefusedError          a token that cannot be made, or is not there to be removed
"""

from collections.abc import Sequence

from guild.errors import GuildError


class RefusedError(GuildError):
    """A request that the gateway refuses by itself; nothing was done."""


class HostNotAllowedError(RefusedError):
    def __init__(self, host: str) -> None:
        super().__init__(f"this gateway does not answer to the name {host[:200]!r}")


class OriginNotAllowedError(RefusedError):
    def __init__(self) -> None:
        super().__init__("web pages of other origins may not ask this gateway")


class AmbiguousLengthError(RefusedError):
    def __init__(self) -> None:
        super().__init__(
            "the request has both Content-Length and Transfer-Encoding: where it ends is not clear"
        )


class TokenMissingError(RefusedError):
    def __init__(self) -> None:
        super().__init__("the request has no token")


class TokenUnknownError(RefusedError):
    def __init__(self) -> None:
        super().__init__("this token is not known here: it is another gateway's, or was removed")


class ScopeMissingError(RefusedError):
    def __init__(self, caller: str, scope: str) -> None:
        super().__init__(f"the token {caller!r} may not {scope}")
        self.scope = scope


class NoSuchPathError(RefusedError):
    def __init__(self, path: str, known: str) -> None:
        super().__init__(f"there is no {path[:200]!r}; {known}")


class MethodNotAllowedError(RefusedError):
    def __init__(self, method: str, path: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{path[:200]!r} takes {' or '.join(allowed)}, not {method[:20]}")
        self.allowed = tuple(allowed)


class BodyTypeError(RefusedError):
    def __init__(self, media_type: str) -> None:
        super().__init__(f"the body is said to be {media_type[:100]!r}, and only JSON is read")


class BodyTooLargeError(RefusedError):
    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is larger than {limit_bytes:,} bytes")
        self.limit_bytes = limit_bytes


class BodyTooSlowError(RefusedError):
    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the body did not come within {limit_s:g} s")
        self.limit_s = limit_s


class BodyNotJsonError(RefusedError):
    """Its text says where the JSON ends to be JSON, or that it is nested too deep."""


class _ShapeError(RefusedError):
    """Attributes:
    problems: each as `field: sentence`, without the values that were given.
    """

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        super().__init__(f"{what}: {'; '.join(problems)}")
        self.problems = tuple(problems)


class InvalidBodyError(_ShapeError):
    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("the body does not fit", problems)


class InvalidParameterError(_ShapeError):
    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("the parameters do not fit", problems)


class KeyReusedError(RefusedError):
    def __init__(self, message_id: str) -> None:
        super().__init__(
            f"this Idempotency-Key came before, with another message, which is {message_id}; this "
            "one was not sent"
        )
        self.message_id = message_id


class GatewayClosingError(RefusedError):
    def __init__(self) -> None:
        super().__init__("the gateway ends, before the answer was there")


class ReservedError(RefusedError):
    """Its text says what may not be sent, and what to do instead."""


class TooManyRequestsError(RefusedError):
    def __init__(self, caller: str, rate_per_s: float, wait_s: float) -> None:
        super().__init__(f"{caller!r} may send {rate_per_s:g} requests a second")
        self.wait_s = wait_s


class TooManyStreamsError(RefusedError):
    def __init__(self, most: int, whose: str) -> None:
        super().__init__(f"{most:,} streams are open {whose}, and no more may be")


class SourceUnreadableError(RefusedError):
    """What a mounted app tells of cannot be read; its text says why, and what to do."""


class TokenFileError(GuildError):
    """A file of tokens that cannot be read, or says what it may not."""


class TokenRefusedError(TokenFileError):
    """A name that is taken, not valid, or not there; or an unknown scope."""
