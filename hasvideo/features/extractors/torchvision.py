"""Features by torchvision's networks: those for videos over clips, those for images frame by frame.

Weights are torchvision's default ones for the network, fetched by PyTorch into its cache, or a file. torchvision's code
is under the BSD 3-clause licence; it gives the weights none of their own, and those for videos were trained on
Kinetics-400, for images on ImageNet.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hasvideo.errors import UsageError
from hasvideo.features.extractors.base import Extractor
from hasvideo.features.extractors.clips import ClipExtractor, centred_grid
from hasvideo.features.extractors.states import read_state
from hasvideo.files import file_sha256
from hasvideo.types import TimeGrid

if TYPE_CHECKING:
    from torch import Tensor

_IMAGES = TimeGrid(fps=5.0, window=1, stride=1)
VIDEO_GRIDS = {
    # Frame rates and, but for S3D, lengths of clips are those that torchvision measured the weights' accuracy with.
    **dict.fromkeys(("r3d_18", "mc3_18", "r2plus1d_18"), centred_grid(15.0, 16, 8)),
    "s3d": centred_grid(15.0, 32, 8),  # measured with 128; it averages over time, so that fewer will do, from 14 on
    **dict.fromkeys(("mvit_v1_b", "mvit_v2_s"), centred_grid(7.5, 16, 4)),
    **dict.fromkeys(("swin3d_t", "swin3d_s", "swin3d_b"), centred_grid(15.0, 32, 8)),
}
"""How each network for videos sees time."""


class Pixels(NamedTuple):
    """What frames a network wants: short side ``size``, their centre of ``crop`` pixels, by mean and std of 0..255."""

    size: int
    crop: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_torchvision(model: str, engine: str, device: str, weights: Path | None) -> Extractor:
    """Load ``torchvision/MODEL``.

    Args:
        model: torchvision's name of a network for videos (:data:`VIDEO_GRIDS`) or for images.
        engine: see :func:`hasvideo.features.extractors.load_extractor`.
        device: see there.
        weights: file of a state dict for it, with any classifier; None fetches torchvision's.

    Raises:
        UsageError: no such network or file.
        HasvideoError: weights cannot be fetched or read, or do not fit.
    """
    from torch import nn
    from torchvision.models import get_model

    from hasvideo.networks.pixels import PixelNetwork, load_trunk, remove_classifier

    enum = _default_weights(model)
    pixels = preprocessing(enum)
    network = get_model(model, weights=None)
    if hasattr(network, "transform_input"):  # of networks ported from TensorFlow, with their weights only
        network.transform_input = True
    classifier, dim = remove_classifier(network)
    state, digest = _fetch(model, enum) if weights is None else read_state(weights)
    load_trunk(network, state, classifier, str(weights or enum))

    def build() -> nn.Module:
        return PixelNetwork(network, pixels.crop, pixels.mean, pixels.std).eval()

    grid = VIDEO_GRIDS.get(model, _IMAGES)
    return ClipExtractor(f"torchvision/{model}", grid, pixels.size, dim, digest, build, engine, device)


def preprocessing(weights: Any) -> Pixels:
    """Say what one of torchvision's enums of weights wants of frames; unlike there, the aspect is always kept."""
    wish = weights.transforms()
    mean, std = (tuple(255 * value for value in values) for values in (wish.mean, wish.std))
    return Pixels(min(wish.resize_size), min(wish.crop_size), mean, std)


def _default_weights(model: str) -> Any:
    import torchvision

    known = set(torchvision.models.list_models(module=torchvision.models)) | set(VIDEO_GRIDS)
    if model not in known:
        close = difflib.get_close_matches(model, known, n=1)
        hint = f"; did you mean torchvision/{close[0]}?" if close else ""
        raise UsageError(f"unknown extractor 'torchvision/{model}'{hint}")
    return torchvision.models.get_model_weights(model).DEFAULT


def _fetch(model: str, weights: Any) -> tuple[dict[str, Tensor], str]:
    import torch

    from hasvideo.networks.pretrained import fetch_state

    state = fetch_state(model, f"{type(weights).__name__}.{weights.name}")
    return dict(state), file_sha256(Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name)
