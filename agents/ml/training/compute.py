"""How a model is run: device, precision and memory layout. Suffix: B batch."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.ml.errors import ModelScriptError


@dataclass(frozen=True)
class Compute:
    """Runs forward passes.

    Attributes:
        bf16: by autocast; weights and gradients stay float32.
        channels_last: the layout in which convolutions of images are about twice as fast.
    """

    device: torch.device
    bf16: bool = False
    channels_last: bool = False

    @classmethod
    def suited_to(cls, model: nn.Module, device: torch.device, *, bf16: bool = False) -> "Compute":
        """Choose the layout by the layers the model has."""
        has_images = any(isinstance(module, nn.Conv2d) for module in model.modules())
        return cls(device, bf16=bf16, channels_last=has_images)

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
        if self.channels_last and inputs_B.ndim == 4:  # noqa: PLR2004  # N, C, H, W
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
