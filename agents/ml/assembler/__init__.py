"""From a declarative model config to a checked file with an nn.Module class.

`compile_model` writes the source, `check_model_source` is the gate for it and for code from a
language model alike. The config's syntax is in `config.py`; the functions to run in a child process
are in `jobs.py`.
"""

from agents.ml.assembler.compiler import CompiledModel, compile_model
from agents.ml.assembler.errors import InexpressibleError, MisfitError, UnknownLayerError
from agents.ml.assembler.gate import CheckedModel, Claims, check_model_source, install_model_source

__all__ = [
    "CheckedModel",
    "Claims",
    "CompiledModel",
    "InexpressibleError",
    "MisfitError",
    "UnknownLayerError",
    "check_model_source",
    "compile_model",
    "install_model_source",
]
