"""Checkpoints: a trained model as one safetensors file, its settings as JSON in the file's metadata."""

from __future__ import annotations

import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import Field, asdict, fields
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, overload

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.files import atomic_path

_METADATA_KEY = "hasvideo"
_FORMAT = 1
_FIRST_KIND = "actions"  # of checkpoints from before there were kinds

KINDS: Mapping[str, tuple[str, str]] = {
    "actions": ("hasvideo.video.model", "Model"),
    "objects": ("hasvideo.image.model", "ImageModel"),
    "segments": ("hasvideo.segmentation.model", "SegmentationModel"),
}
"""Module and class of each kind of model: by name, so that a checkpoint of one kind does not import the others."""


class TrainedModel(ABC):
    """A network and how to feed and read it; each kind of model is a frozen dataclass that inherits from this.

    Attributes:
        kind: what it localizes, one of :data:`KINDS`; the same for all models of a class.
        name: path of its checkpoint, or the name of a built-in model.
        classes: names of the network's outputs, in their order.
        network: it has its ``config``, a dataclass with ``num_classes``.

    Raises:
        HasvideoError: the number of classes is not the network's, or two have the same name.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    kind: ClassVar[str]
    name: str
    classes: tuple[str, ...]
    network: nn.Module

    def __post_init__(self) -> None:
        outputs = self.network.config.num_classes  # type: ignore[union-attr]
        if len(set(self.classes)) != len(self.classes):
            raise HasvideoError(f"model {self.name}: a class name occurs twice")
        if len(self.classes) != outputs:
            raise HasvideoError(
                f"model {self.name}: {len(self.classes)} class names for a network of {outputs} outputs"
            )

    @classmethod
    @abstractmethod
    def build(cls, name: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        """Make the model that :func:`save` wrote.

        Args:
            name: the model's.
            settings: the other fields by name, dataclasses as dicts; ``network`` is the network's ``config``.
            tensors: the network's state, on the CPU.

        Raises:
            Exception: KeyError, TypeError, ValueError or RuntimeError where these do not make a model.
        """


Loaded = TypeVar("Loaded", bound=TrainedModel)


def save(model: TrainedModel, path: Path) -> None:
    """Write a model as one file, whole or not at all.

    Args:
        model: its fields but the name are written, of the network its ``config`` and its state.
        path: the file.

    Raises:
        HasvideoError: the file cannot be written.
    """
    settings = {"format": _FORMAT, "kind": model.kind, "network": model.network.config}
    settings |= {f.name: getattr(model, f.name) for f in fields(model) if f.name not in ("name", "network")}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={_METADATA_KEY: json.dumps(settings, default=asdict)})


@overload
def load(path: str | Path) -> TrainedModel: ...


@overload
def load(path: str | Path, wanted: type[Loaded]) -> Loaded: ...


def load(path: str | Path, wanted: type[TrainedModel] | None = None) -> TrainedModel:
    """Read a model that :func:`save` wrote.

    >>> load("objects.ckpt").classes
    >>> load("objects.ckpt", ImageModel).activations(image)

    Args:
        path: the file, which is the model's name, too.
        wanted: class of the model, where no other kind will do; None: any kind.

    Raises:
        UsageError: there is no such file.
        HasvideoError: it is not a checkpoint of this package, is damaged, or is for another kind of model.
    """
    settings, tensors = _read(path)
    kind = _kind(path, settings)
    if wanted is not None and kind != wanted.kind:
        raise HasvideoError(f"{path} is a checkpoint for {kind}, not for {wanted.kind}")
    module, name = KINDS[kind]
    model: type[TrainedModel] = getattr(importlib.import_module(module), name)
    try:
        return model.build(str(path), settings, tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _not_ours(path, error) from error


def checkpoint_kind(path: str | Path) -> str:
    """Read what a checkpoint's model localizes: one of :data:`KINDS`.

    Raises:
        UsageError: there is no such file.
        HasvideoError: it is not a checkpoint of this package, is damaged, or is of no known kind.
    """
    return _kind(path, _read(path, weights=False)[0])


def checkpoint_classes(path: str | Path) -> tuple[str, ...]:
    """Read the names of a checkpoint's classes, whatever its kind.

    Raises:
        UsageError: there is no such file.
        HasvideoError: it is not a checkpoint of this package, or is damaged.
    """
    settings, _ = _read(path, weights=False)
    try:
        return tuple(map(str, settings["classes"]))
    except (KeyError, TypeError) as error:
        raise _not_ours(path, error) from error


def _kind(path: str | Path, settings: Mapping[str, Any]) -> str:
    kind = str(settings.get("kind", _FIRST_KIND))
    if kind not in KINDS:
        raise HasvideoError(f"{path} is a checkpoint for {kind}; accepted: checkpoints for {', '.join(KINDS)}")
    return kind


def _read(path: str | Path, weights: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not Path(path).is_file():
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


def _not_ours(path: str | Path, error: Exception) -> HasvideoError:
    reason = " ".join(str(error).split())
    return HasvideoError(f"{path} is not a hasvideo checkpoint (made by hasvideo train): {reason}")
