"""Feature extractors: frames in, one feature vector a time step out."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path

from hasvideo.device import resolve_device
from hasvideo.errors import UsageError
from hasvideo.features.extractors.base import Extractor

EXTRACTORS = ("i3d", "torchvision/NAME", "pytorchvideo/NAME", "efficientnet_lite0", "c3d")
GROUP = "hasvideo.extractors"
"""Entry points of installed packages that are extractors."""


def load_extractor(name: str, engine: str = "auto", device: str = "auto", weights: Path | None = None) -> Extractor:
    """Load the feature extractor of a name, ready to run.

    Args:
        name: a built-in one, the name of an entry point in the group ``hasvideo.extractors``, or the dotted path
            ``package.module:Class`` of an extractor's class. Those of others are called as ``Class(engine, device,
            weights)``, without ``weights`` where that is None.
        engine: ``auto``, ``torch`` or ``openvino``.
        device: ``auto`` (a GPU that works, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; extractors
            of others are given what ``auto`` stands for here.
        weights: file of the weights to use instead of those that the extractor fetches, if it does.

    Raises:
        UsageError: unknown name, engine or device; weights for an extractor that takes none.
        HasvideoError: its weights cannot be had.
    """
    device = resolve_device(device, engine)
    group, _, model = name.partition("/")
    if name == "i3d" and weights is None:
        from hasvideo.features.extractors.i3d import I3DExtractor

        return I3DExtractor(engine, device)
    if name == "i3d":
        raise UsageError("--weights is not for i3d, which has its own")
    if group == "torchvision" and model:
        from hasvideo.features.extractors.torchvision import load_torchvision

        return load_torchvision(model, engine, device, weights)
    if group == "pytorchvideo" and model:
        from hasvideo.features.extractors.pytorchvideo import load_pytorchvideo

        return load_pytorchvideo(model, engine, device, weights)
    if name == "efficientnet_lite0":
        from hasvideo.features.extractors.efficientnet import load_efficientnet_lite0

        return load_efficientnet_lite0(engine, device, weights)
    if group == "c3d":
        from hasvideo.features.extractors.c3d import load_c3d

        return load_c3d(model, engine, device, weights)
    factory = _find(name)
    return factory(engine, device) if weights is None else factory(engine, device, weights)


def _find(name: str) -> Callable[..., Extractor]:
    """Find an extractor of another package.

    Raises:
        UsageError: there is none of that name.
    """
    entries = importlib.metadata.entry_points(group=GROUP)
    if name in entries.names:
        return entries[name].load()
    module, colon, attribute = name.partition(":")
    if colon:
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise UsageError(f"extractor {name} cannot be loaded: {error}") from error
    known = (*EXTRACTORS, *sorted(entries.names), "package.module:Class")
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UsageError(f"unknown extractor {name!r}{hint}; accepted: {', '.join(known)}")


__all__ = ["EXTRACTORS", "Extractor", "load_extractor"]
