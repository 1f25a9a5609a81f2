"""The bus within one process: nothing is written anywhere, nothing survives the process."""

from messaging.backends.memory.backend import MemoryBackend, MemoryConsumer

__all__ = ["MemoryBackend", "MemoryConsumer"]
