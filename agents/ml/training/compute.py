"""How a model is run: device, precision and memory layout. Suffix: B batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.ml.errors import ModelScriptError

IMAGES = 4  # dimensions: N, C, H, W


@dataclass(frozen=True)
class Compute:
    """Runs forward passes.

    Attributes:
        bf16: by autocast; weights and gradients stay float32.
        channels_last: the memory layout in which convolutions of images may be faster.
    """

    device: torch.device
    bf16: bool = False
    channels_last: bool = False

    def to_json(self) -> dict[str, str]:
        """Say it in words, without the device."""
        return {
            "precision": "bf16" if self.bf16 else "fp32",
            "layout": "channels_last" if self.channels_last else "contiguous",
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any], device: torch.device) -> "Compute":
        return cls(device, said["precision"] == "bf16", said["layout"] == "channels_last")

    def place(self, model: nn.Module) -> nn.Module:
        """Move the model to the device, in its layout."""
        model = model.to(self.device)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        return model

    def forward(self, model: nn.Module, inputs_B: Tensor) -> Tensor:
        """Return the model's output as float32; of an output object, its `logits`.

        Raises:
            ModelScriptError: the model fails on this shape, or returns no tensor.
        """
        if self.channels_last and inputs_B.ndim == IMAGES:
            inputs_B = inputs_B.contiguous(memory_format=torch.channels_last)
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                outputs = model(inputs_B)
        except Exception as error:  # a model's code may raise anything
            given = f"{inputs_B.dtype} inputs of shape {tuple(inputs_B.shape)}"
            raise ModelScriptError(
                f"forward fails on {given}: {error}", where=type(model).__name__
            ) from error
        outputs = getattr(outputs, "logits", outputs)
        if not isinstance(outputs, Tensor):
            raise ModelScriptError(
                f"forward returns {type(outputs).__name__}, not a tensor",
                where=type(model).__name__,
            )
        return outputs.float()
