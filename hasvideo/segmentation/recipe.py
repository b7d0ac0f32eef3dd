"""The settings of a segmentation network's training. Without torch, for commands to show."""

from __future__ import annotations

from dataclasses import dataclass, field

from hasvideo.errors import UsageError
from hasvideo.networks.config import FcnConfig
from hasvideo.settings import TrainingConfig


@dataclass(frozen=True)
class JitterConfig:
    """How training images and their masks are changed. The defaults are Long et al.'s: not at all.

    Raises:
        UsageError: a setting is out of its range.
    """

    crop: int = 0  # pixels of both sides of a random crop, padded where the image is smaller; 0 takes whole images
    min_scale: float = 1.0  # lowest random factor that an image is scaled by
    max_scale: float = 1.0  # highest random factor that an image is scaled by
    flip: bool = False  # mirror half of the images

    def __post_init__(self) -> None:
        if self.crop < 0 or not 0 < self.min_scale <= self.max_scale:
            raise UsageError(f"jitter needs a crop >= 0 and 0 < min_scale <= max_scale, got {self}")


@dataclass(frozen=True)
class SegmentationRecipe:
    """Everything that decides a segmentation network besides its images and its backbone.

    The defaults are those of FCN-AlexNet (Long, Shelhamer & Darrell, CVPR 2015): whole images, 20 to a step, a fixed
    learning rate, no augmentation, at least 175 epochs.

    Raises:
        UsageError: a setting of the training is for videos only.
    """

    network: FcnConfig = field(default_factory=FcnConfig)  # num_classes follows the data
    jitter: JitterConfig = field(default_factory=JitterConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=175, batch_size=20, optimizer="sgd", learning_rate=1e-3)
    )

    def __post_init__(self) -> None:
        self.training.check_without_time()


WHY = {
    f"training.{name}": "FCN-AlexNet's"
    for name in ("epochs", "batch_size", "optimizer", "learning_rate", "momentum", "weight_decay", "schedule")
} | {"training.workers": "with --in-memory enough"}
"""Why a default of ``hasvideo train_segmentation`` is as it is, where that is another reason than for videos."""
