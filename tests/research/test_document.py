"""Each "Example Usage" of the tools' document, called as it is printed there.

The data is small, and in the formats of the datasets that are named.
"""

from pathlib import Path

import pytest

from agents.research import ResearchToolkit
from agents.research.errors import WorkRefusedError
from tests.research.small_data import put_cifar10, put_corpus, put_tiny_imagenet

pytestmark = pytest.mark.slow

RESNET = """
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return nn.functional.relu(x + self.norm(self.conv(x)))


class MyResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 7, stride=2, padding=3)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))
"""
VISION_TRANSFORMER = """
import torch
from torch import nn


class VisionTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 16, stride=16)
        self.places = nn.Parameter(torch.zeros(16, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 200)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.layer(tokens).mean(1))
"""
TRAIN = """
import sys
print("trained", *sys.argv[1:])
"""


@pytest.fixture(scope="module")
def workspace(common_workspace: Path) -> Path:
    folder = common_workspace
    for path, text in {
        "src/models/resnet.py": RESNET,
        "src/models/my_resnet.py": RESNET,
        "src/models/my_vision_transformer.py": VISION_TRANSFORMER,
        "train.py": TRAIN,
        "requirements.txt": "torch",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture(scope="module")
def kit(common_kit: ResearchToolkit, workspace: Path) -> ResearchToolkit:
    return common_kit


def test_read_file(kit: ResearchToolkit) -> None:
    assert kit.read_file("src/models/resnet.py") == RESNET


def test_write_file(kit: ResearchToolkit) -> None:
    kit.write_file("src/models/my_new_layer.py", "import torch\nclass MyNewLayer(torch.nn.Module):\n    def __init__(self): super().__init__(); self.linear = torch.nn.Linear(10, 10)\n    def forward(self, x): return self.linear(x)\n")  # fmt: skip  # noqa: E501

    summary = kit.pytorch_model_summary("src/models/my_new_layer.py", "MyNewLayer", (1, 10))
    assert summary["total_params"] == 110


def test_append_to_file(kit: ResearchToolkit, workspace: Path) -> None:
    kit.append_to_file("requirements.txt", "\ntorchmetrics==0.11.4")

    assert (workspace / "requirements.txt").read_text() == "torch\ntorchmetrics==0.11.4"


def test_bash_run(kit: ResearchToolkit) -> None:
    listed = kit.bash_run("ls -lR")
    driver = kit.bash_run("nvidia-smi")

    assert "./src/models:" in listed
    assert "NVIDIA" in driver or driver.endswith("[exit code 127]\n")


def test_python_run(kit: ResearchToolkit) -> None:
    printed = kit.python_run("train.py", "--config", "configs/base.yaml", "--epochs", "10")

    assert printed == "trained --config configs/base.yaml --epochs 10\n"


def test_list_directory(kit: ResearchToolkit) -> None:
    assert "resnet.py" in kit.list_directory("src/models")
    assert "src/models/resnet.py" in kit.list_directory(".", recursive=True)


def test_create_directory(kit: ResearchToolkit, workspace: Path) -> None:
    kit.create_directory("experiments/my_new_run")

    assert (workspace / "experiments" / "my_new_run").is_dir()


def test_pytorch_model_assembler_and_quick_evaluator(kit: ResearchToolkit, workspace: Path) -> None:
    put_cifar10(workspace / "data" / "cifar-10-batches-bin")

    kit.pytorch_model_assembler(
        model_config={
            "model_name": "SimpleCNN",
            "input_shape": [3, 32, 32],
            "layers": [
                {"type": "Conv2d", "params": {"in_channels": 3, "out_channels": 16, "kernel_size": 3, "padding": 1}},  # noqa: E501
                {"type": "ReLU"},
                {"type": "MaxPool2d", "params": {"kernel_size": 2}},
                {"type": "Flatten"},
                {"type": "Linear", "params": {"out_features": 10}}
            ]
        },
        output_script_path="src/models/assembled_simple_cnn.py"
    )  # fmt: skip
    result = kit.pytorch_quick_evaluator(
        model_script_path="src/models/assembled_simple_cnn.py",
        model_class_name="SimpleCNN",
        eval_config={
            "dataset": "cifar10", "num_classes": 10, "batch_size": 128, "epochs": 3,
            "optimizer": "Adam", "learning_rate": 0.0005, "loss_function": "CrossEntropyLoss",
            "metrics": ["accuracy"]
        }
    )  # fmt: skip

    assert result["status"] == "completed"
    assert result["train_samples"] == 180
    assert result["metrics"].keys() == {"accuracy", "loss"}


def test_pytorch_model_summary(kit: ResearchToolkit) -> None:
    summary = kit.pytorch_model_summary("src/models/my_resnet.py", "MyResNet", (1, 3, 256, 256))

    assert summary["total_params"] == 3 * 49 * 8 + 8 + 2 * (8 * 9 * 8 + 16) + 90
    assert summary["flops"] == 2 * (128 * 128 * (3 * 49 * 8 + 2 * 8 * 9 * 8) + 80)
    assert summary["layer_details"][0]["output_shape"] == [1, 8, 128, 128]


def test_pytorch_full_trainer(kit: ResearchToolkit, workspace: Path) -> None:
    put_tiny_imagenet(workspace / "data" / "tiny-imagenet")

    result = kit.pytorch_full_trainer(
        model_script_path="src/models/my_vision_transformer.py",
        model_class_name="VisionTransformer",
        trainer_config={
            "dataset": "imagenet_subset", "dataset_params": {"data_path": "./data/tiny-imagenet"}, "num_classes": 200,  # noqa: E501
            "batch_size": 256, "epochs": 50,
            "optimizer": {"type": "AdamW", "params": {"lr": 0.0002, "weight_decay": 0.05}},
            "scheduler": {"type": "ReduceLROnPlateau", "params": {"mode": "min", "factor": 0.1, "patience": 5}},  # noqa: E501
            "loss_function": "CrossEntropyLoss", "metrics": ["accuracy", "top_5_accuracy"], "device": "cuda",  # noqa: E501
            "save_best_model": True, "early_stopping": {"metric": "val_loss", "patience": 10}
        },
        experiment_name="vit_imagenet_full_run"
    )  # fmt: skip

    assert result["final_evaluation"].keys() == {"accuracy", "top_5_accuracy", "loss"}
    assert result["experiment_dir"] == "full_experiments/vit_imagenet_full_run"
    assert (workspace / result["best_checkpoint_path"]).is_file()
    assert result["device"] == "cuda:0" or "ran on the CPU" in result["warnings"][0]


def test_pytorch_optimizer_configurator(kit: ResearchToolkit) -> None:
    config = kit.pytorch_optimizer_configurator(
        action="generate_config",
        config_name="tuned_adamw",
        optimizer_details={
            "type": "AdamW",
            "default_params": {"lr": 0.0005, "weight_decay": 0.01},
            "param_groups": [
                {"name_regex": "features.*", "lr": 0.0001},
                {"name_regex": "classifier.*", "lr": 0.005}
            ]
        }
    )  # fmt: skip

    assert config["type"] == "AdamW"
    assert [group["lr"] for group in config["param_groups"]] == [0.0001, 0.005]


def test_pytorch_tokenizer_manager(kit: ResearchToolkit, workspace: Path) -> None:
    put_corpus(workspace / "data" / "nlp" / "text_corpus.txt")

    result = kit.pytorch_tokenizer_manager(
        action="train",
        tokenizer_name="my_bpe_tokenizer",
        config={
            "type": "BPE",
            "vocab_size": 10000,
            "data_files": ["data/nlp/text_corpus.txt"],
            "special_tokens": ["[PAD]", "[UNK]"]
        },
        tokenizer_path="models/tokenizers/my_bpe"
    )  # fmt: skip

    assert result.pop("vocab_size") < 10_000  # as many as there are, not as many as were asked for
    assert result == {
        "status": "success",
        "tokenizer_name": "my_bpe_tokenizer",
        "tokenizer_path": "models/tokenizers/my_bpe",
    }
    assert (workspace / "models" / "tokenizers" / "my_bpe" / "tokenizer.json").is_file()


def test_pip_install_pytorch_package_is_for_the_operator_to_turn_on(kit: ResearchToolkit) -> None:
    with pytest.raises(WorkRefusedError, match="install_packages: true"):
        kit.pip_install_pytorch_package("torchmetrics", version="0.11.4", pytorch_version="2.1.0", cuda_version="cu118")  # fmt: skip  # noqa: E501


def test_create_pytorch_project_scaffold(kit: ResearchToolkit, workspace: Path) -> None:
    kit.create_pytorch_project_scaffold("NewImageClassifier")

    assert (workspace / "NewImageClassifier" / "train.py").is_file()
