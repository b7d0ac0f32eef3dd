"""Localize objects in images with a model that is loaded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hasvideo.choice import Choice, resolve_classes
from hasvideo.device import resolve_device
from hasvideo.frames.images import read_image
from hasvideo.types import Activation, ImageDetections

if TYPE_CHECKING:
    from hasvideo.image.model import ImageModel

MIN_CLASS_SCORE = 0.1
"""Probability from which classes besides the most probable one are localized, where nothing else is asked for."""


class ImageLocalizer:
    """A model, loaded once for many images.

    Args:
        model: the path of a checkpoint, or a :class:`hasvideo.image.model.ImageModel`.
        device: ``auto`` (a GPU that works, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        UsageError: there is no such file or device.
        HasvideoError: the file is not a checkpoint for images.
    """

    def __init__(self, model: str | Path | ImageModel, device: str = "auto") -> None:
        from hasvideo.image.model import load_image_model

        device = resolve_device(device)
        self.model = load_image_model(model) if isinstance(model, str | Path) else model
        self.model.network.to(device)

    def __call__(self, path: str | Path, choice: Choice | None = None, *, image: str | None = None) -> ImageDetections:
        """Localize objects in one image; see :func:`hasvideo.localize.localize`.

        Where neither classes nor a least probability are chosen, the most probable class is always localized.

        Args:
            path: image file.
            choice: which classes, and how.
            image: id for the result; None: the file's stem.

        Raises:
            UsageError: an unknown class, or a value out of range.
            HasvideoError: the image cannot be read.
        """
        from hasvideo.extents import find_boxes

        choice = choice or Choice()
        rule = choice.rule(self.model.rule)
        choice = replace(choice, classes=resolve_classes(choice.classes, self.model.classes, self.model.name))
        pixels, info = read_image(Path(path))
        activations = _select(self.model.activations(pixels), choice)
        boxes = [box for a in activations for box in find_boxes(a, info.width, info.height, rule)]
        return ImageDetections(
            image=Path(path).stem if image is None else image,
            info=info,
            boxes=tuple(sorted(boxes, key=lambda box: -box.score)),
            activations=activations,
            rule=rule,
            model=self.model.name,
        )


def _select(activations: Sequence[Activation], choice: Choice) -> tuple[Activation, ...]:
    selected = choice.select(activations, MIN_CLASS_SCORE)
    return selected or tuple(activations[: 1 if choice.min_class_score is None else 0])
