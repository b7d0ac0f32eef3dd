"""An image localizer whose answers can be foreseen: its network passes pixels through, its CAMs are the colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hasvideo.checkpoint import save
from hasvideo.image.model import ImageModel
from hasvideo.networks import gap
from hasvideo.networks.config import ImageConfig
from hasvideo.networks.trunk import Trunk
from hasvideo.types import BoxRule

CLASSES = ("red", "green", "blue")
SIDE = 32
"""Pixels of both sides of the network's input, and cells of its map."""


def pass_pixels_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every network be made of no layers at all, so that its head sees the pixels."""
    monkeypatch.setitem(gap.TRUNKS, "alexnet", lambda _: Trunk(nn.Identity(), nn.Identity(), 3, 3))


def colour_model(path: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """A checkpoint whose CAM of a class is 8 where its colour is, 0 where black is, -8 where the others are."""
    network = gap.GapNetwork(ImageConfig("alexnet", num_classes=len(classes), resize=SIDE, crop=SIDE, ten_crop=False))
    with torch.no_grad():
        network.image_std.fill_(255)
        network.head.weight.copy_((torch.eye(3) * 16 - 8)[: len(classes)])
        network.head.bias.zero_()
    save(ImageModel(str(path), classes, network, BoxRule(threshold=0.5)), path)
    return path


def paint(path: Path, size: tuple[int, int] = (SIDE, SIDE), **squares: tuple[int, int, int, int]) -> Path:
    """A black image of a size, width first, with corners (xmin, ymin, xmax, ymax) filled with colours."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for name, (xmin, ymin, xmax, ymax) in squares.items():
        pixels[ymin:ymax, xmin:xmax, CLASSES.index(name)] = 255
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
