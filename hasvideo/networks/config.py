"""Settings of the networks, which checkpoints keep. Free of torch, so that commands can show them at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from hasvideo.errors import UsageError
from hasvideo.settings import check_choices
from hasvideo.types import Pooling

Normalisation = Literal["none", "center", "standardise", "l2"]
Classification = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class TemporalConfig:
    """Settings of a :class:`hasvideo.networks.temporal.TemporalNetwork`.

    Raises:
        UsageError: a setting is out of its range.
    """

    in_channels: int = 1024  # D of the features: 1024 for I3D RGB, 2048 with flow, 4096 for C3D
    num_classes: int = 20  # outputs of the head: the classes of THUMOS 2014
    layers: int = 2  # temporal convolutions before the head; 0: the head sees the features [the paper's]
    channels: int = 500  # kernels in each of these convolutions [the paper's]
    kernel: int = 1  # time steps that such a kernel sees, an odd number [the paper's]
    dropout: float = 0.0  # share of the numbers dropped after each convolution [the paper names none for videos]
    input_dropout: float = 0.0  # share of the normalised features' numbers dropped [the paper has none]
    head_kernel: int = 1  # time steps that the classifier sees, an odd number [the paper's]
    pooling: Pooling = "average"  # over time, to a class's score: mean, maximum, or mean of the highest [the paper's]
    topk_divisor: int = 5  # N: with pooling topk, the highest T // N of T time steps count [unused in the paper]
    bias: bool = True  # the head has a bias, which every time step of the CAM gets
    smoothing: int = 0  # times that the CAM is averaged over neighbours, 1/4 1/2 1/4 [the paper has none]
    normalisation: Normalisation = "none"  # of features; center: less their mean, l2: of length 1 [the paper's]
    classification: Classification = "softmax"  # softmax: classes compete; sigmoid: each on its own [the paper's]

    def __post_init__(self) -> None:
        if min(self.in_channels, self.num_classes, self.channels, self.topk_divisor) < 1 or self.layers < 0:
            raise UsageError(f"a network needs positive sizes and layers >= 0, got {self}")
        for name in ("kernel", "head_kernel"):
            if getattr(self, name) < 1 or getattr(self, name) % 2 == 0:
                raise UsageError(f"{name} must be odd, so that time steps keep their place, got {getattr(self, name)}")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must be from 0 to below 1, got {getattr(self, name)}")
        check_choices(self, pooling=Pooling, normalisation=Normalisation, classification=Classification)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict for JSON; ``TemporalConfig(**d)`` reads it back."""
        return asdict(self)


Architecture = Literal["alexnet", "googlenet", "resnet50"]
InputDropout = Literal["training", "always"]


@dataclass(frozen=True)
class ImageConfig:
    """Settings of a :class:`hasvideo.networks.gap.GapNetwork`, and the images that it takes.

    Raises:
        UsageError: a setting is out of its range.
    """

    architecture: Architecture = "alexnet"  # alexnet and googlenet are the paper's
    num_classes: int = 1000  # outputs of the head: the classes of ILSVRC 2012
    width: float = 1.0  # times as many channels in each layer as the architecture has
    batch_norm: bool = True  # batch norm after each convolution; AlexNet of 2012 has none [as the paper's code]
    half_size: bool = False  # first layers for images of half the usual side: half the stride, the same map
    pooling: Pooling = "average"  # over the CAM, to a class's score: mean, maximum, mean of the highest [the paper's]
    topk_divisor: int = 5  # N: with pooling topk, the highest cells // N of the cells count [unused in the paper]
    input_dropout: float = 0.0  # share of the image's numbers dropped; the paper compares 0.5 with hiding
    input_dropout_at: InputDropout = "training"  # always: while testing too, as the paper also compares
    resize: int = 256  # pixels of both sides of an image [the paper's]
    crop: int = 227  # pixels of both sides of what the network is shown [the paper's for AlexNet]
    ten_crop: bool = True  # test on corners and centre, flipped and not; else on the whole image [the paper's]

    def __post_init__(self) -> None:
        if min(self.num_classes, self.topk_divisor, self.crop) < 1 or self.width <= 0:
            raise UsageError(f"a network needs positive sizes, got {self}")
        if self.resize < self.crop:
            raise UsageError(f"images resized to {self.resize} pixels cannot give crops of {self.crop}")
        if not 0 <= self.input_dropout < 1:
            raise UsageError(f"input_dropout must be from 0 to below 1, got {self.input_dropout}")
        check_choices(self, architecture=Architecture, pooling=Pooling, input_dropout_at=InputDropout)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict for JSON; ``ImageConfig(**d)`` reads it back."""
        return asdict(self)


MOST_SKIPS = 2


@dataclass(frozen=True)
class FcnConfig:
    """Settings of a :class:`hasvideo.networks.fcn.Fcn`, whose encoder is AlexNet-GAP's.

    Raises:
        UsageError: a setting is out of its range.
    """

    num_classes: int = 21  # outputs: PASCAL VOC's 20 classes and the background
    width: float = 1.0  # times as many channels in each layer as AlexNet-GAP has; a backbone's must be the same
    batch_norm: bool = True  # after each convolution; a backbone's must be the same
    half_size: bool = False  # first layer for images of half the usual side; a backbone's must be the same
    skips: int = 0  # finer maps that are scored too: 0 as FCN-32s, 1 as FCN-16s, 2 as FCN-8s
    max_side: int = 1000  # pixels to which larger images are scaled down when used [twice PASCAL VOC's]

    def __post_init__(self) -> None:
        if min(self.num_classes, self.max_side) < 1 or self.width <= 0:
            raise UsageError(f"a network needs positive sizes, got {self}")
        if not 0 <= self.skips <= MOST_SKIPS:
            raise UsageError(f"skips must be from 0 to {MOST_SKIPS}, got {self.skips}")

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict for JSON; ``FcnConfig(**d)`` reads it back."""
        return asdict(self)
