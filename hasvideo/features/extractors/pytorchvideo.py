"""Features by the networks of pytorchvideo's hub that were trained on Kinetics-400: what their classifier is given.

Weights are those of pytorchvideo's model zoo, fetched into PyTorch's cache, or a file. pytorchvideo's code is under the
Apache-2.0 licence; the zoo states none of its own for the weights.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.extractors.base import Extractor
from hasvideo.features.extractors.clips import ClipExtractor, centred_grid
from hasvideo.features.extractors.states import read_state
from hasvideo.types import TimeGrid

if TYPE_CHECKING:
    from torch import nn

_FPS = 30.0
"""Of the videos of Kinetics, from which the zoo takes every n-th frame."""
_MEAN, _STD = (255 * 0.45,) * 3, (255 * 0.225,) * 3
_ALPHA = 4
"""Frames of SlowFast's fast pathway for one of the slow one."""


class Clip(NamedTuple):
    """What a network takes: ``frames`` frames, every ``rate``-th of 30 a second, of short side ``size``, cropped.

    A feature every ``stride`` of those frames, which is about half a second.
    """

    frames: int
    rate: int
    stride: int
    size: int
    crop: int

    @property
    def grid(self) -> TimeGrid:
        """Where the features lie."""
        return centred_grid(_FPS / self.rate, self.frames, self.stride)


# Frames, rates and sides are those that the zoo's accuracies were measured with: pytorchvideo's pages on PyTorch Hub,
# and where those have none, PySlowFast's configs/Kinetics. All but MViT were measured with crops as high as the frame.
CLIPS = {
    "x3d_xs": Clip(4, 12, 1, 182, 182),
    "x3d_s": Clip(13, 6, 3, 182, 182),
    "x3d_m": Clip(16, 5, 3, 256, 256),
    "x3d_l": Clip(16, 5, 3, 356, 356),
    **dict.fromkeys(("c2d_r50", "i3d_r50", "slow_r50"), Clip(8, 8, 2, 256, 256)),
    **dict.fromkeys(("slowfast_r50", "slowfast_r101"), Clip(32, 2, 8, 256, 256)),
    "slowfast_16x8_r101_50_50": Clip(64, 2, 8, 256, 256),
    "r2plus1d_r50": Clip(16, 4, 4, 256, 256),
    "csn_r101": Clip(32, 2, 8, 256, 256),
    "mvit_base_16x4": Clip(16, 4, 4, 256, 224),
    "mvit_base_32x3": Clip(32, 3, 5, 256, 224),
}
"""How each network sees a video."""


def load_pytorchvideo(model: str, engine: str, device: str, weights: Path | None) -> Extractor:
    """Load ``pytorchvideo/MODEL``.

    Args:
        model: pytorchvideo's name of the network, one of :data:`CLIPS`.
        engine: see :func:`hasvideo.features.extractors.load_extractor`.
        device: see there.
        weights: file of a state dict for it, with any classifier, as the zoo's ``.pyth``; None fetches the zoo's.

    Raises:
        UsageError: no such network or file.
        HasvideoError: weights cannot be fetched or read, or do not fit.
    """
    if model not in CLIPS:
        close = difflib.get_close_matches(model, CLIPS, n=1)
        hint = f"; did you mean pytorchvideo/{close[0]}?" if close else f"; accepted: {', '.join(CLIPS)}"
        raise UsageError(f"unknown extractor 'pytorchvideo/{model}'{hint}")
    from hasvideo.networks.pixels import PixelNetwork, load_trunk

    path = weights or _fetch(model)
    state, digest = read_state(path)
    trunk, classifier, dim = build_trunk(model)
    load_trunk(trunk, state, classifier, str(path))
    clip = CLIPS[model]

    def build() -> nn.Module:
        return PixelNetwork(two_pathways(model, trunk), clip.crop, _MEAN, _STD).eval()

    return ClipExtractor(f"pytorchvideo/{model}", clip.grid, clip.size, dim, digest, build, engine, device)


def build_trunk(model: str) -> tuple[nn.Module, str, int]:
    """Build a network with random weights and without its classifier; return also the classifier's name, and D."""
    from hasvideo.networks.pixels import remove_classifier

    network = _builder(model)(head_activation=None)  # X3D and R(2+1)D end in a softmax
    return network, *remove_classifier(network)


def two_pathways(model: str, network: nn.Module) -> nn.Module:
    """Give the network one clip, which SlowFast takes at two frame rates."""
    from torch import nn

    from hasvideo.networks.pixels import SlowAndFast

    return nn.Sequential(SlowAndFast(_ALPHA), network) if model.startswith("slowfast") else network


def _builder(model: str) -> Callable[..., nn.Module]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pytorchvideo 0.1.5 uses torch.jit.script
        from pytorchvideo.models import hub
    return getattr(hub, model)


def _fetch(model: str) -> Path:
    """Return the file of the zoo's weights in PyTorch's cache, and fetch it first where it is not there.

    Raises:
        HasvideoError: it is not there and cannot be fetched.
    """
    import torch

    url = sys.modules[_builder(model).__module__].checkpoint_paths[model]
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    try:
        if not path.exists():
            print(f"hasvideo: fetching {url}", file=sys.stderr)
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:
        raise HasvideoError(
            f"the weights of pytorchvideo/{model} could not be fetched from {url} ({error}): connect once, or download "
            "that file elsewhere and give it as --weights FILE"
        ) from error
    return path
