"""A small convolutional network. Suffixes: B batch, C channels, H height, W width, K classes."""

from torch import Tensor, nn


class SmallCNN(nn.Module):
    """Classifies images of one channel, of 8 by 8 pixels or more."""

    def __init__(self, num_classes: int = 10, width: int = 32) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, kernel_size=3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, kernel_size=3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * width, num_classes))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Scores before softmax, of shape [B, K]."""
        return self.head(self.features(images_BCHW))
