"""A small data set in the ILSVRC layout: grey images with a square in the colour of their class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = {"n01": "red thing, first", "n02": "green thing"}
WIDTH, HEIGHT = 40, 32  # nothing may take images for square


def make_ilsvrc(root: Path, train: int = 4, val: int = 2) -> Path:
    """Write ``train`` and ``val`` images of each class; a validation image's box is that of its square."""
    generator = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{wnid} {name}\n" for wnid, name in CLASSES.items()))
    solution = ["ImageId,PredictionString"]
    for channel, wnid in enumerate(CLASSES):
        for number in range(train):
            write_image(root / f"ILSVRC/Data/CLS-LOC/train/{wnid}/{wnid}_{number}.JPEG", channel, generator)
        for number in range(val):
            image = f"val_{channel}{number}"
            box = write_image(root / f"ILSVRC/Data/CLS-LOC/val/{image}.JPEG", channel, generator)
            write_xml(root / f"ILSVRC/Annotations/CLS-LOC/val/{image}.xml", [(wnid, box)])
            solution.append(f"{image},{wnid} {' '.join(map(str, box))} ")
    (root / "LOC_val_solution.csv").write_text("\n".join(solution) + "\n")
    return root


def write_image(path: Path, channel: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Write a grey image with a bright square in one channel; returns the square's corners."""
    pixels = generator.integers(60, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    left, top = (int(generator.integers(0, side - 16)) for side in (WIDTH, HEIGHT))
    pixels[top : top + 16, left : left + 16, channel] = 250
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)
    return left, top, left + 16, top + 16


def write_xml(path: Path, boxes: list[tuple[str, tuple[float, ...]]], size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """Write a PASCAL VOC annotation."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin><xmax>{b[2]}</xmax>"
        f"<ymax>{b[3]}</ymax></bndbox></object>"
        for name, b in boxes
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    path.write_text(f"<annotation>{sizes}{objects}</annotation>")
