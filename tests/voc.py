"""A small data set in the layout of PASCAL VOC: noise with a bright square in the colour of its class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("nothing", "red", "green")
WIDTH, HEIGHT = 44, 36  # nothing may take images for square


def make_voc(root: Path, train: int = 6, test: int = 4) -> Path:
    """Write images of which every second one has a red square and the others a green one; a border is not counted."""
    generator = np.random.default_rng(0)
    names = {"train": [f"train_{k}" for k in range(train)], "val": [f"val_{k}" for k in range(test)]}
    for listed, images in names.items():
        write_list(root, listed, images)
        for number, image in enumerate(images):
            pixels, mask = paint(1 + number % 2, generator)
            write_image(root, image, pixels)
            write_mask(root / "SegmentationClass" / f"{image}.png", mask)
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return root


def paint(label: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image with a square of one class, and its mask."""
    pixels = generator.integers(60, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    top, left = int(generator.integers(2, HEIGHT - 18)), int(generator.integers(2, WIDTH - 18))
    mask[top - 1 : top + 17, left - 1 : left + 17] = 255
    mask[top : top + 16, left : left + 16] = label
    pixels[mask == label, label - 1] = 250
    return pixels, mask


def write_list(root: Path, name: str, images: list[str]) -> Path:
    """Write a list of ids."""
    path = root / "ImageSets" / "Segmentation" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{image}\n" for image in images))
    return path


def write_image(root: Path, image: str, pixels: np.ndarray) -> Path:
    """Write an image as JPEG."""
    path = root / "JPEGImages" / f"{image}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)
    return path


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write class numbers as a palette PNG whose colours are none of the numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    image.putpalette([(7 * k + 100) % 256 for k in range(768)])
    image.save(path)
