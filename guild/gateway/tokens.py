"""The file of tokens: a line each, `NAME SCOPE[,SCOPE] sha256:HEX`. No token stands in it.

It is read again when it has changed, so that a token that was taken out is refused at once. A line
that cannot be read lets no caller in; nor does a file that has gone.
"""

import errno
import fcntl
import hmac
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from guild.gateway.callers import Caller, Scope, digest_of, new_secret
from guild.gateway.errors import TokenFileError, TokenRefusedError
from guild.suggest import closest
from messaging.process.logs import get_logger

log = get_logger()

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

State = tuple[int, int, int] | None


class Token(NamedTuple):
    """A line of the file."""

    caller: Caller
    digest: bytes

    def __str__(self) -> str:
        scopes = ",".join(scope for scope in Scope if scope in self.caller.scopes)
        return f"{self.caller.name} {scopes} sha256:{self.digest.hex()}"


class TokenFile:
    """The callers in a file.

    Raises:
        TokenFileError: it cannot be read, or a line of it says what it may not.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._state = _state_of(self.path)
        self._tokens = read_tokens(self.path)

    @property
    def warning(self) -> str:
        """What is odd about the file, "" if nothing: that others can read it."""
        try:
            is_open = self.path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        except OSError:
            return ""
        if not is_open:
            return ""
        return f"others on this machine can open {self.path}: chmod 600 {self.path}"

    def find(self, secret: str) -> Caller | None:
        """The caller with this token, by what the file says now; None if it is in no line."""
        state = _state_of(self.path)
        if state != self._state:
            self._state, self._tokens = state, self._read_again()
        given = digest_of(secret)
        # All are compared, so that time tells nothing.
        found = [each for each in self._tokens if hmac.compare_digest(each.digest, given)]
        return found[0].caller if found else None

    def _read_again(self) -> Sequence[Token]:
        try:
            lines = _lines_of(self.path)
        except TokenFileError as error:
            log.warning("tokens.unreadable", file=str(self.path), problem=str(error))
            return ()
        tokens = []
        for number, line in lines:
            try:
                tokens.append(_token_in(line))
            except ValueError as error:
                problem = f"line {number}: {error}"
                log.warning("tokens.line_ignored", file=str(self.path), problem=problem)
        log.info("tokens.read", file=str(self.path), names=[each.caller.name for each in tokens])
        return tokens


def read_tokens(path: Path) -> Sequence[Token]:
    """All tokens of a file.

    Raises:
        TokenFileError: it cannot be read, or has a line that cannot; names each of them.
    """
    tokens, problems = [], []
    for number, line in _lines_of(path):
        try:
            tokens.append(_token_in(line))
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        raise TokenFileError("\n".join(problems))
    return tokens


def add_token(path: Path, name: str, scopes: Iterable[str]) -> str:
    """A new token in the file, which is made if it is not there; readable by its owner only.

    Raises:
        TokenRefusedError: the name is taken or not valid, or a scope is unknown.
        TokenFileError: the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise TokenRefusedError(
            f"a token's name has 1 to 64 letters, digits, dots, - and _, not {name[:100]!r}"
        )
    try:
        caller = Caller(name, _scopes_in(",".join(scopes)))
    except ValueError as error:
        raise TokenRefusedError(str(error)) from None
    secret = new_secret()
    with _locked(path):
        lines = _text_of(path).splitlines() if path.exists() else []
        if name in _names_in(lines):
            raise TokenRefusedError(
                f"{path} has a token {name!r}: remove it first, or give this one another name"
            )
        _write(path, [*lines, str(Token(caller, digest_of(secret)))])
    return secret


def remove_token(path: Path, name: str) -> None:
    """Take a token out of the file; gateways that read it refuse it from then on.

    Raises:
        TokenRefusedError: there is none of that name.
        TokenFileError: the file cannot be written.
    """
    with _locked(path):
        lines = _text_of(path).splitlines()
        names = _names_in(lines)
        if name not in names:
            hint = closest(name, names)
            there = f"did you mean {hint!r}?" if hint else f"there are: {', '.join(names)}"
            raise TokenRefusedError(f"{path} has no token {name[:100]!r}; {there}")
        _write(path, [line for line in lines if line.split()[:1] != [name]])


def _state_of(path: Path) -> State:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def _text_of(path: Path) -> str:
    try:
        with open(path, encoding="utf-8-sig", opener=_regular) as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise TokenFileError(
            f"cannot read the tokens in {path}: {reason}; `guildbus tokens add NAME --scope read "
            f"--file {path}` makes one"
        ) from error


def _lines_of(path: Path) -> Sequence[tuple[int, str]]:
    lines = enumerate(_text_of(path).splitlines(), start=1)
    return [(number, line) for number, line in lines if _is_token(line)]


def _is_token(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _names_in(lines: Iterable[str]) -> Sequence[str]:
    return [line.split()[0] for line in lines if _is_token(line)]


def _token_in(line: str) -> Token:
    """The token of a line; raises ValueError, whose text repeats no digest."""
    parts = line.split()
    if len(parts) != 3:  # noqa: PLR2004  NAME SCOPES sha256:HEX
        raise ValueError("a line is NAME SCOPE[,SCOPE] sha256:HEX")
    name, scopes, digest = parts
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:100]!r} is no name")
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise ValueError(f"{name}: sha256: and 64 hex digits are wanted; `guildbus tokens add`")
    return Token(Caller(name, _scopes_in(scopes)), bytes.fromhex(found[1]))


def _scopes_in(text: str) -> frozenset[Scope]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in list(Scope):
            hint = closest(name, map(str, Scope))
            meant = f"did you mean {hint!r}?" if hint else f"there are: {', '.join(Scope)}"
            raise ValueError(f"no scope {name[:100]!r}; {meant}")
    if not names:
        raise ValueError(f"a token needs a scope: {', '.join(Scope)}")
    return frozenset(map(Scope, names))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A block in which no other process changes the file: it is replaced, so its folder is held."""
    try:
        folder = os.open(path.absolute().parent, os.O_RDONLY)
    except OSError as error:
        raise TokenFileError(f"cannot write {path}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, lines: Sequence[str]) -> None:
    path = path.resolve()  # a link stays one
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with open(new, "w", encoding="utf-8", opener=_private) as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise TokenFileError(f"cannot write {path}: {error.strerror}") from error


def _regular(name: str, flags: int) -> int:
    """Opens a file that can be read again: a pipe is not waited for."""
    handle = os.open(name, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "it is no regular file")


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_EXCL, 0o600)
