"""torchvision's ImageNet weights for the convolutions that an architecture shares with torchvision's network."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.networks.gap import GapNetwork
from hasvideo.networks.googlenet import INCEPTIONS

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Of the training images of ILSVRC 2012, RGB, 0..255: torchvision's 0.485, 0.456, 0.406."""
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of the same images: torchvision's 0.229, 0.224, 0.225."""


class _Source(NamedTuple):
    """What of torchvision's weights is taken, and for what images they were trained."""

    weights: str  # an enum of torchvision.models and its member
    layers: Mapping[str, str]  # torchvision's name of a layer: the GapNetwork's
    mean: tuple[float, float, float]  # RGB, 0..255
    std: tuple[float, float, float]


_SOURCES = {
    "alexnet": _Source(
        "AlexNet_Weights.IMAGENET1K_V1",
        {
            "features.0": "first.0",
            "features.3": "rest.1.0",
            "features.6": "rest.3.0",
            "features.8": "rest.4.0",
            "features.10": "rest.5.0",
        },
        IMAGENET_MEAN,
        IMAGENET_STD,
    ),
    # Ported from TensorFlow, whose images go from -1 to 1: torchvision's transform_input makes them so again.
    "googlenet": _Source(
        "GoogLeNet_Weights.IMAGENET1K_V1",
        {"conv1": "first.conv1"} | {name: f"rest.{name}" for name in ("conv2", "conv3", *INCEPTIONS)},
        (127.5, 127.5, 127.5),
        (127.5, 127.5, 127.5),
    ),
    # Not V2, which was trained with CutMix and random erasing: rivals of hiding, which is to be compared.
    "resnet50": _Source(
        "ResNet50_Weights.IMAGENET1K_V1",
        {name: f"first.{name}" for name in ("conv1", "bn1")} | {f"layer{i}": f"rest.layer{i}" for i in range(1, 5)},
        IMAGENET_MEAN,
        IMAGENET_STD,
    ),
}


def load_pretrained(network: GapNetwork, state: Mapping[str, Tensor] | str | Path | None = None) -> list[str]:
    """Start a network from torchvision's ImageNet weights; layers that torchvision's network lacks stay as they are.

    AlexNet takes conv1 to conv5, GoogLeNet all up to inception 4e, ResNet-50 all but the classifier. An AlexNet with
    batch norm takes the kernels alone, since its convolutions have no bias. The network's ``image_mean`` and
    ``image_std`` become those that the weights were trained with, so statistics of other images are not to be set
    afterwards.

    Args:
        network: of width 1; changed in place.
        state: torchvision's state dict, or the path of a ``.pth`` file with one; None fetches it (into torch's cache).

    Returns:
        Names of the network's parameters and buffers that were loaded.

    Raises:
        UsageError: no such file.
        HasvideoError: the weights cannot be fetched or read, or do not fit the network, which then is unchanged.
    """
    architecture = network.config.architecture
    source = _SOURCES[architecture]
    if state is None:
        state = fetch_state(architecture, source.weights)
    elif not isinstance(state, Mapping):
        state = _read(Path(state))
    chosen = _choose(network, source.layers, state)
    network.load_state_dict(chosen, strict=False)
    network.image_mean.copy_(torch.tensor(source.mean))
    network.image_std.copy_(torch.tensor(source.std))
    return list(chosen)


def _choose(network: GapNetwork, layers: Mapping[str, str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the network's names.

    Raises:
        HasvideoError: one is missing, or of another shape than the network's.
    """
    chosen = {}
    wanted = network.state_dict()
    for theirs, ours in layers.items():
        # How many batches were seen is of no use here, and old files lack it.
        for name in (n for n in wanted if n.startswith(f"{ours}.") and not n.endswith("num_batches_tracked")):
            source = theirs + name.removeprefix(ours)
            chosen[name] = _fitting(state, source, wanted[name], network.config.architecture)
    return chosen


def _fitting(state: Mapping[str, Tensor], name: str, wanted: Tensor, architecture: str) -> Tensor:
    if name not in state:
        raise HasvideoError(
            f"the pretrained weights have no {name}, so they are not torchvision's for this {architecture}"
        )
    if state[name].shape != wanted.shape:
        raise HasvideoError(
            f"the pretrained weights' {name} has shape {tuple(state[name].shape)}, this {architecture}'s "
            f"{tuple(wanted.shape)}: pretrained weights need width 1 and no half_size"
        )
    return state[name]


def fetch_state(architecture: str, name: str) -> Mapping[str, Tensor]:
    """The state dict of torchvision's weights ``name``, such as ``ResNet50_Weights.IMAGENET1K_V1``.

    Raises:
        HasvideoError: it is not in torch's cache and cannot be fetched.
    """
    from torchvision.models import get_weight

    weights = get_weight(name)
    try:
        return weights.get_state_dict(check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise HasvideoError(
            f"the pretrained weights of {architecture} could not be fetched from {weights.url} ({_line(error)}): "
            f"connect once, or put the file into {torch.hub.get_dir()}/checkpoints"
        ) from error


def read_file(path: Path) -> Any:
    """What a ``.pth`` file holds, without running code from it.

    Raises:
        UsageError: no such file.
        HasvideoError: it cannot be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {path}") from error
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        raise HasvideoError(f"cannot read weights from {path} ({_line(error)})") from error


def _read(path: Path) -> Mapping[str, Tensor]:
    state = read_file(path)
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise HasvideoError(f"{path} holds {_kind(state)}: the state dict of a torchvision network is expected")
    return state


def _kind(state: Any) -> str:
    return f"a dict of {', '.join(map(str, list(state)[:3]))}" if isinstance(state, Mapping) else type(state).__name__


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
