"""Local models by a path: plain calls, answers as iterators, prompts kept across restarts."""

from agents.llm.frontend.frontend import Frontend
from agents.llm.frontend.frontends import LlamaCppInference, TorchInference
from agents.llm.frontend.inference import Inference
from agents.llm.frontend.inference_kwargs import InferenceKwargs
from agents.llm.frontend.local_inference import LocalInference
from agents.llm.frontend.tokenizer import Tokenizer

__all__ = [
    "Frontend",
    "Inference",
    "InferenceKwargs",
    "LlamaCppInference",
    "LocalInference",
    "Tokenizer",
    "TorchInference",
]
