"""C3D features (fc6 or fc7 after ReLU, 4096-d in the paper, Sports-1M) with weights from a file that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.extractors.base import Extractor
from hasvideo.features.extractors.clips import ClipExtractor, centred_grid
from hasvideo.features.extractors.states import read_state

if TYPE_CHECKING:
    from torch import nn

SIZE, CROP = 128, 112
MEAN = (104.0, 117.0, 128.0)
"""Of RGB: what MMAction2 takes for Sports-1M; Caffe subtracted a mean image for every place and frame instead."""


def load_c3d(layer: str, engine: str, device: str, weights: Path | None) -> Extractor:
    """Load ``c3d`` (fc6) or ``c3d/fc7``: 16 frames at 25 frames per second, every 8.

    Args:
        layer: ``fc6``, ``fc7``, or empty for fc6.
        engine: see :func:`hasvideo.features.extractors.load_extractor`.
        device: see there.
        weights: file of a published checkpoint; see :func:`hasvideo.networks.c3d.rename_layers`.

    Raises:
        UsageError: no such layer or file, or none given.
        HasvideoError: the file cannot be read, or is not C3D's.
    """
    if layer not in ("", "fc6", "fc7"):
        raise UsageError(f"unknown extractor 'c3d/{layer}'; accepted: c3d (fc6), c3d/fc6, c3d/fc7")
    if weights is None:
        raise UsageError("extractor c3d has no weights of its own: give --weights FILE, a checkpoint of C3D")
    from hasvideo.networks.c3d import C3D, rename_layers
    from hasvideo.networks.pixels import PixelNetwork, load_trunk

    found, digest = read_state(weights)
    try:
        state = rename_layers(found)
    except HasvideoError as error:
        raise HasvideoError(f"{weights}: {error}") from error
    width, hidden = len(state["conv1.weight"]), len(state["fc6.weight"])
    network = C3D(layer or "fc6", width, hidden)
    load_trunk(network, state, "fc8" if layer == "fc7" else "fc7", str(weights))

    def build() -> nn.Module:
        return PixelNetwork(network, CROP, MEAN, (1.0, 1.0, 1.0)).eval()

    name = f"c3d/{layer}" if layer == "fc7" else "c3d"
    return ClipExtractor(name, centred_grid(25.0, 16, 8), SIZE, hidden, digest, build, engine, device)
