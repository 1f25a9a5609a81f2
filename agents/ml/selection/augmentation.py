"""Samples made anew each time they are learned from. Suffixes: B batch, C channels, T time."""

import torch
from torch import Tensor
from torch.nn import functional

from agents.ml.data.dataset import ResidentSource

_NOISE = 0.1
_DROPPED = 0.1  # of tokens
_TURN = 0.2  # radians
_ZOOM = 0.1
_MIXUP = 0.2  # both parameters of the Beta distribution


class AugmentedSource(ResidentSource):
    """A source whose batches are varied by the global generator, which the trainer seeds."""

    def __init__(self, inputs_N: Tensor, targets_N: Tensor, how: str, classes: int) -> None:
        super().__init__(inputs_N, targets_N)
        self._how, self._classes = how, classes

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        inputs_B, labels_B = super().batch(indices_B)
        if self._how == "mixup":
            return _mixed(inputs_B, labels_B, self._classes)
        return _VARIED[self._how](inputs_B), labels_B

    def to(self, device: torch.device) -> "AugmentedSource":
        inputs_N, targets_N = self.inputs_N.to(device), self.targets_N.to(device)
        return AugmentedSource(inputs_N, targets_N, self._how, self._classes)


def _as_it_is(inputs_B: Tensor) -> Tensor:
    return inputs_B


def _noisy(inputs_B: Tensor) -> Tensor:
    return inputs_B + _NOISE * torch.randn_like(inputs_B)


def _thinned(tokens_BT: Tensor) -> Tensor:
    return tokens_BT.masked_fill(torch.rand(tokens_BT.shape) < _DROPPED, 0)


def _mixed(inputs_B: Tensor, labels_B: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Each sample with a share of another, and their labels in the same shares (Zhang 2018)."""
    share = torch.distributions.Beta(_MIXUP, _MIXUP).sample((len(inputs_B),))
    other_B = torch.randperm(len(inputs_B))
    labels_BC = functional.one_hot(labels_B, classes).float()
    share_B1 = share.reshape(-1, *[1] * (inputs_B.ndim - 1))
    mixed_B = share_B1 * inputs_B + (1 - share_B1) * inputs_B[other_B]
    share_B1 = share.reshape(-1, 1)
    return mixed_B, share_B1 * labels_BC + (1 - share_B1) * labels_BC[other_B]


def _shifted(images_BCHW: Tensor) -> Tensor:
    """Each image moved by up to an eighth of its side; its edge goes on."""
    size, _, height, width = images_BCHW.shape
    reach = max(1, height // 8)
    padded = functional.pad(images_BCHW, (reach,) * 4, mode="replicate")
    down_B = torch.randint(2 * reach + 1, (size,))
    right_B = torch.randint(2 * reach + 1, (size,))
    rows_BH = (down_B[:, None] + torch.arange(height))[:, None, :, None]
    columns_BW = (right_B[:, None] + torch.arange(width))[:, None, None, :]
    batch = torch.arange(size)[:, None, None, None]
    channels = torch.arange(images_BCHW.shape[1])[None, :, None, None]
    return padded[batch, channels, rows_BH, columns_BW]


def _turned(images_BCHW: Tensor) -> Tensor:
    """Each image turned, zoomed and moved a little."""
    size = len(images_BCHW)
    angle_B = (torch.rand(size) * 2 - 1) * _TURN
    zoom_B = 1 + (torch.rand(size) * 2 - 1) * _ZOOM
    move_B2 = (torch.rand(size, 2) * 2 - 1) * 0.2
    rows = [
        torch.stack([angle_B.cos() * zoom_B, -angle_B.sin() * zoom_B, move_B2[:, 0]], dim=1),
        torch.stack([angle_B.sin() * zoom_B, angle_B.cos() * zoom_B, move_B2[:, 1]], dim=1),
    ]
    grid = functional.affine_grid(
        torch.stack(rows, dim=1), list(images_BCHW.shape), align_corners=False
    )
    return functional.grid_sample(images_BCHW, grid, padding_mode="border", align_corners=False)


def _cut_out(images_BCHW: Tensor) -> Tensor:
    """Each image with a square of a quarter of its side set to its mean (DeVries 2017)."""
    size, _, height, width = images_BCHW.shape
    side = max(1, height // 4)
    top_B = torch.randint(height, (size, 1, 1, 1))
    left_B = torch.randint(width, (size, 1, 1, 1))
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    is_row = (rows >= top_B) & (rows < top_B + side)
    is_column = (columns >= left_B) & (columns < left_B + side)
    return torch.where(
        is_row & is_column, images_BCHW.mean(dim=(1, 2, 3), keepdim=True), images_BCHW
    )


_VARIED = {
    "none": _as_it_is,
    "noise": _noisy,
    "shift": _shifted,
    "affine": _turned,
    "cutout": _cut_out,
    "drop_tokens": _thinned,
}
