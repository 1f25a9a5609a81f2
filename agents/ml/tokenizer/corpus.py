"""Text files as a corpus: checked before anything is learned, read in large pieces."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from agents.ml.errors import TokenizerError
from agents.ml.reporting import Report

PIECE_CHARS = 1 << 20


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files of UTF-8 text.

    Attributes:
        report: told about each piece that is read; what it raises ends the reading.
    """

    paths: Sequence[Path]
    report: Report

    def check(self) -> None:
        """Refuse files that are missing, and a corpus without text.

        Raises:
            TokenizerError: it names the file.
        """
        for path in self.paths:
            if not os.path.isfile(path):  # noqa: PTH113  Path's own fails on a name too long
                problem = "is not a file" if os.path.exists(path) else "does not exist"  # noqa: PTH110
                raise TokenizerError(f"the data file {problem}", where=str(path))
        if not any(piece and not piece.isspace() for piece in self._pieces_of_all()):
            names = ", ".join(map(str, self.paths))
            raise TokenizerError("the corpus is empty: there is no text to learn from", where=names)

    def pieces(self, stage: str) -> Iterator[str]:
        """The text in pieces of whole lines, reporting how far `stage` has got.

        Raises:
            TokenizerError: a file is not UTF-8, or cannot be read.
        """
        size_bytes = sum(path.stat().st_size for path in self.paths)
        done_bytes = 0
        for path in self.paths:
            for piece in _pieces_of(path):
                self.report({"stage": stage, "done_bytes": done_bytes, "size_bytes": size_bytes})
                done_bytes += len(piece.encode())
                yield piece
        self.report({"stage": stage, "done_bytes": done_bytes, "size_bytes": size_bytes})

    def _pieces_of_all(self) -> Iterator[str]:
        for path in self.paths:
            yield from _pieces_of(path)


def open_text(path: Path) -> TextIO:
    """The text of a file as it is, line ends too, without the mark some editors put before it."""
    return path.open(encoding="utf-8-sig", newline="")


def _pieces_of(path: Path) -> Iterator[str]:
    try:
        with open_text(path) as file:
            while lines := file.readlines(PIECE_CHARS):
                yield "".join(lines)
    except UnicodeDecodeError as error:
        raise TokenizerError(_where_it_broke(path), where=str(path)) from error
    except OSError as error:
        raise TokenizerError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _where_it_broke(path: Path) -> str:
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        return f"not UTF-8 text: byte 0x{byte:02x} at offset {error.start}"
    return "not UTF-8 text"
