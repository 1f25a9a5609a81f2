"""Models by a path, one class for each way to run them."""

from pathlib import Path
from typing import Any

from agents._suggest import nearest
from agents.llm.engines.errors import LLMInitializationError
from agents.llm.frontend.frontend import Frontend
from agents.llm.models import backend_of


class TorchInference(Frontend):
    """A model of transformers: a folder, an id on the Hugging Face hub, or a GGUF file.

    Args:
        model_path: see above.
        device: see `Frontend`.
        prompt_cache_folder: keeps the keys and values of every prompt, so that whoever uses the
            same folder, model and dtype need not read the same beginning again, in another process
            either. The files tell their reader the prompts. None keeps them in memory alone.
        options: see `Frontend`.
    """

    backend = "transformers"

    def __init__(
        self,
        model_path: str | Path,
        *,
        device: str = "auto",
        prompt_cache_folder: str | Path | None = None,
        **options: Any,
    ) -> None:
        if prompt_cache_folder is not None:
            kept = {"prompt_cache_folder": str(prompt_cache_folder)}
            own = options.get("options") or {}
            options["options"] = {"prompt_cache_saves": "prompts", **own, **kept}
        super().__init__(model_path, device=device, **options)

    def supports_reusing_prompt_cache(self) -> bool:
        return True


class LlamaCppInference(Frontend):
    """A GGUF file with llama.cpp; its beginnings of texts are kept in memory alone."""

    backend = "llamacpp"


_FRONTENDS: dict[str, type[Frontend]] = {"PyTorch": TorchInference, "llama.cpp": LlamaCppInference}
_ALIASES = {
    "pytorch": "PyTorch",
    "torch": "PyTorch",
    "transformers": "PyTorch",
    "llama.cpp": "llama.cpp",
    "llamacpp": "llama.cpp",
    "llama_cpp": "llama.cpp",
}


def frontend_class(model_path: str | Path, frontend: str | None = None) -> type[Frontend]:
    """The class for a model.

    Args:
        model_path: without a frontend, a GGUF file or the name of one that comes through pip is
            for llama.cpp, and any other for PyTorch.
        frontend: its name, in any case.

    Raises:
        LLMInitializationError: there is none of this name.
    """
    if frontend is None:
        frontend = backend_of(str(model_path))
    name = frontend.lower()
    if name not in _ALIASES:
        near = nearest(name, _ALIASES)
        hint = f"; did you mean {_ALIASES[near]!r}?" if near else ""
        raise LLMInitializationError(
            f"there is no frontend {frontend!r}{hint} (known: {', '.join(_FRONTENDS)})"
        )
    return _FRONTENDS[_ALIASES[name]]
