"""A gated residual block over vectors, for model configs to name as `module_path`."""

from torch import Tensor, nn


class GatedBlock(nn.Module):
    """Adds a normalised, gated update to its input (batch, dim); the gate decides how much of it.

    Source: Dauphin et al. 2017, "Language Modeling with Gated Convolutional Networks" (GLU).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.update_and_gate = nn.Linear(dim, 2 * dim)
        self.glu = nn.GLU(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        update: Tensor = self.glu(self.update_and_gate(self.norm(x)))
        return x + update
