"""Plain code's `with` for what is closed."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Closed when its `with` block is left."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds; harmless when that is done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
