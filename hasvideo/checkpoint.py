"""Checkpoints: one safetensors file of a network's weights, with its settings as JSON in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.files import atomic_path

_METADATA_KEY = "hasvideo"
_FORMAT = 1
_FIRST_KIND = "actions"  # of checkpoints from before there were kinds

Built = TypeVar("Built")


def write_checkpoint(path: Path, kind: str, settings: Mapping[str, Any], network: nn.Module) -> None:
    """Write a network and its settings, whole or not at all.

    Args:
        path: the file.
        kind: what the network is for, such as ``actions``.
        settings: what JSON can hold.
        network: its state is written.

    Raises:
        HasvideoError: the file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    metadata = {_METADATA_KEY: json.dumps({"format": _FORMAT, "kind": kind, **settings})}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def read_checkpoint(path: Path, kind: str, build: Callable[[dict[str, Any], dict[str, Tensor]], Built]) -> Built:
    """What ``build(settings, tensors)`` makes of a checkpoint; the tensors are on the CPU.

    Raises:
        UsageError: there is no such file.
        HasvideoError: it is not a checkpoint of this package and kind, or is damaged: ``build`` raised one of KeyError,
            TypeError, ValueError (UsageError too) and RuntimeError.
    """
    settings, tensors = _read(path)
    if settings.get("kind", _FIRST_KIND) != kind:
        raise HasvideoError(f"{path} is a checkpoint for {settings['kind']}, not for {kind}")
    try:
        return build(settings, tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _not_ours(path, error) from error


def check_class_names(model: str, classes: Sequence[str], outputs: int) -> None:
    """Raise HasvideoError unless there is a name of its own for each of a network's outputs."""
    if len(set(classes)) != len(classes):
        raise HasvideoError(f"model {model}: a class name occurs twice")
    if len(classes) != outputs:
        raise HasvideoError(f"model {model}: {len(classes)} class names for a network of {outputs} outputs")


def checkpoint_kind(path: Path) -> str:
    """What a checkpoint's network is for: the ``kind`` it was written with.

    Raises:
        UsageError: there is no such file.
        HasvideoError: it is not a checkpoint of this package, or is damaged.
    """
    return str(_read(path, weights=False)[0].get("kind", _FIRST_KIND))


def checkpoint_classes(path: Path) -> tuple[str, ...]:
    """Names of a checkpoint's classes, whatever its network is for.

    Raises:
        UsageError: there is no such file.
        HasvideoError: it is not a checkpoint of this package, or is damaged.
    """
    settings, _ = _read(path, weights=False)
    try:
        return tuple(map(str, settings["classes"]))
    except (KeyError, TypeError) as error:
        raise _not_ours(path, error) from error


def _read(path: Path, weights: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no model file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {})[_METADATA_KEY])
            if settings["format"] != _FORMAT:
                raise ValueError(f"format {settings['format']}, this version reads {_FORMAT}")
            names = file.keys() if weights else ()
            return settings, {name: file.get_tensor(name) for name in names}
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _not_ours(path, error) from error


def _not_ours(path: Path, error: Exception) -> HasvideoError:
    reason = " ".join(str(error).split())
    return HasvideoError(f"{path} is not a hasvideo checkpoint (made by hasvideo train): {reason}")
