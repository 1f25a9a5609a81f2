"""What can go wrong in the plain PyTorch library.

MLError
├── ConfigError          a key of a configuration is unknown, missing or has a wrong value
├── LayerError           a layer of a model config does not fit what comes before it
├── ModelScriptError     a model file cannot be read, imported or built
├── DatasetError         data that is unknown, empty, damaged or out of range
├── TokenizerError       a tokenizer or its corpus
├── CheckpointError      a checkpoint that is damaged or belongs to another run
├── ScoringError         what a model put out cannot be scored, or is not all there
├── TeamError            another of the processes that train one model is gone
└── TrainingInterrupted  told to stop; a checkpoint was saved and the same call goes on from it
"""


class MLError(Exception):
    """Root of this library's errors.

    Attributes:
        where: the layer, key or file at fault, as a user would name it.
    """

    def __init__(self, text: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {text}" if where else text)
        self.where = where


class ConfigError(MLError):
    """A key of a configuration is unknown, missing or has a wrong value."""


class LayerError(MLError):
    """A layer of a model config does not fit what comes before it."""


class ModelScriptError(MLError):
    """A model file cannot be read, imported or built."""


class DatasetError(MLError):
    """Data that is unknown, empty, damaged or out of range."""


class TokenizerError(MLError):
    """A tokenizer or the corpus it should learn from."""


class CheckpointError(MLError):
    """A checkpoint that is damaged or belongs to another run."""


class ScoringError(MLError):
    """What a model put out cannot be scored, or is not all there."""


class TeamError(MLError):
    """Another of the processes that train one model is gone; the same start resumes."""


class TrainingInterrupted(MLError):  # noqa: N818  # not a failure: the run goes on later
    """Told to stop; a checkpoint was saved and the same call goes on from it.

    Attributes:
        step: the step after which the checkpoint was saved.
    """

    def __init__(self, step: int, *, where: str) -> None:
        super().__init__(f"interrupted after step {step}; the same call resumes there", where=where)
        self.step = step
