"""Features of frames by EfficientNet-Lite0 (1280-d, ImageNet), which comes from the package index and is light."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hasvideo.features.extractors.base import Extractor
from hasvideo.features.extractors.clips import ClipExtractor
from hasvideo.features.extractors.states import read_state
from hasvideo.types import TimeGrid
from hasvideo.weights import WEIGHTS, load_weights

if TYPE_CHECKING:
    from torch import nn

WEIGHTS_NAME = "efficientnet-lite0"
SIZE, CROP = 256, 224  # as TensorFlow's evaluation: the crop is 224/256 of the short side


def load_efficientnet_lite0(engine: str, device: str, weights: Path | None) -> Extractor:
    """Load ``efficientnet_lite0``: the mean over the image of what its classifier sees, five times a second.

    Args:
        engine: see :func:`hasvideo.features.extractors.load_extractor`.
        device: see there.
        weights: file of a state dict in the layout of ``efficientnet_lite_pytorch``; None fetches Google's, Apache-2.0.

    Raises:
        UsageError: no such file.
        HasvideoError: weights cannot be had, or do not fit.
    """
    from hasvideo.networks.efficientnet import EfficientNetLite0, rename_layers
    from hasvideo.networks.pixels import PixelNetwork, load_trunk, remove_classifier

    if weights is None:
        state, digest = load_weights(WEIGHTS_NAME), WEIGHTS[WEIGHTS_NAME].sha256
    else:
        state, digest = read_state(weights)
        state = rename_layers(state)
    network = EfficientNetLite0()
    classifier, dim = remove_classifier(network)
    load_trunk(network, state, classifier, str(weights or WEIGHTS_NAME))

    def build() -> nn.Module:
        return PixelNetwork(network, CROP, (127.0,) * 3, (128.0,) * 3).eval()

    grid = TimeGrid(fps=5.0, window=1, stride=1)
    return ClipExtractor("efficientnet_lite0", grid, SIZE, dim, digest, build, engine, device)
