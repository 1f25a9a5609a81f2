"""The three architectures that ship, for 8 by 8 images of digits."""

from typing import Any

DIGITS_SHAPE = (1, 8, 8)
BLOCK_FILES = ("gated_block.py",)
BLOCKS_FOLDER = "blocks"


def shipped_architectures(folder: str, num_classes: int) -> tuple[dict[str, Any], ...]:
    """A network with a custom block from a file in `folder`, a convolutional and a residual one."""
    return (
        _gated(f"{folder}/{BLOCKS_FOLDER}/gated_block.py", num_classes),
        _convolutional(num_classes),
        _residual(num_classes),
    )


def _gated(block_path: str, num_classes: int) -> dict[str, Any]:
    block = {"type": "GatedBlock", "module_path": block_path, "params": {"dim": 96}}
    return {
        "model_name": "DigitsGated",
        "description": "Fully connected, with gated blocks from a file of our own.",
        "input_shape": list(DIGITS_SHAPE),
        "layers": [
            {"type": "Flatten"},
            {"type": "Linear", "params": {"out_features": 96}},
            {"type": "ReLU"},
            block,
            block,
            {"type": "Linear", "params": {"out_features": num_classes}},
        ],
    }


def _convolutional(num_classes: int) -> dict[str, Any]:
    return {
        "model_name": "DigitsConv",
        "description": "Two convolutions and a pooling step.",
        "input_shape": list(DIGITS_SHAPE),
        "layers": [
            *_convolution(24),
            {"type": "ReLU"},
            *_convolution(48),
            {"type": "ReLU"},
            {"type": "MaxPool2d", "params": {"kernel_size": 2}},
            {"type": "Flatten"},
            {"type": "Dropout", "params": {"p": 0.2}},
            {"type": "Linear", "params": {"out_features": num_classes}},
        ],
    }


def _residual(num_classes: int) -> dict[str, Any]:
    block = {
        "type": "Residual",
        "layers": [*_convolution(32), {"type": "ReLU"}, *_convolution(32)],
    }
    return {
        "model_name": "DigitsResidual",
        "description": "A convolutional stem and two residual blocks.",
        "input_shape": list(DIGITS_SHAPE),
        "layers": [
            *_convolution(32),
            {"type": "ReLU"},
            {"type": "Repeat", "times": 2, "layers": [block, {"type": "ReLU"}]},
            {"type": "AdaptiveAvgPool2d", "params": {"output_size": [2, 2]}},
            {"type": "Flatten"},
            {"type": "Linear", "params": {"out_features": num_classes}},
        ],
    }


def _convolution(channels: int) -> list[dict[str, Any]]:
    return [
        {"type": "Conv2d", "params": {"out_channels": channels, "kernel_size": 3, "padding": 1}},
        {"type": "BatchNorm2d"},
    ]
