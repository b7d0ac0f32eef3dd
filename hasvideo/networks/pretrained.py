"""Load torchvision's ImageNet weights into the convolutions that an architecture shares with torchvision's."""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.networks.gap import GapNetwork


def load_pretrained(network: GapNetwork, state: Mapping[str, Tensor] | str | Path | None = None) -> list[str]:
    """Start a network from torchvision's ImageNet weights; layers that torchvision lacks stay as they are.

    AlexNet takes conv1 to conv5, GoogLeNet all up to inception 4e, ResNet-50 all but the classifier. An AlexNet with
    batch norm takes the kernels alone, since its convolutions have no bias. The network's ``image_mean`` and
    ``image_std`` become those that the weights were trained with; do not set others afterwards.

    Args:
        network: of width 1; changed in place.
        state: torchvision's state dict, or the path of a ``.pth`` file with one; None downloads it into torch's cache.

    Returns:
        Names of the network's parameters and buffers that were loaded.

    Raises:
        UsageError: there is no such file, or there are no weights for the architecture.
        HasvideoError: the weights cannot be fetched or read, or do not fit the network, which then is unchanged.
    """
    architecture = network.config.architecture
    source = network.pretrained
    if source is None:
        raise UsageError(f"there are no pretrained weights for {architecture}")
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
    """Choose the weights that the network shares, by the names that it gives them.

    Raises:
        HasvideoError: one is missing, or of another shape than the network's.
    """
    chosen = {}
    wanted = network.state_dict()
    for theirs, ours in layers.items():
        # The number of batches seen is of no use here, and old files lack it.
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
    """Fetch a state dict of torchvision's, from torch's cache or by download.

    Args:
        architecture: for messages.
        name: of the weights, such as ``ResNet50_Weights.IMAGENET1K_V1``.

    Raises:
        HasvideoError: it is not in torch's cache and cannot be fetched.
    """
    from torchvision.models import get_weight

    weights = get_weight(name)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch prints there that it downloads
            return weights.get_state_dict(check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise HasvideoError(
            f"the pretrained weights of {architecture} could not be fetched from {weights.url} ({_line(error)}): "
            f"connect once, or put the file into {torch.hub.get_dir()}/checkpoints"
        ) from error


def read_file(path: Path) -> Any:
    """Read a ``.pth`` file without running code from it.

    Raises:
        UsageError: there is no such file.
        HasvideoError: it cannot be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {path}") from error
    except pickle.UnpicklingError as error:  # torch's own message advises to run code from it
        raise HasvideoError(f"cannot read weights from {path}: it holds none, or more than weights") from error
    except (OSError, RuntimeError, EOFError, LookupError, ValueError) as error:
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
