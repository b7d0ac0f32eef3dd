"""Test a trained localizer on images whose boxes are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hasvideo.datasets.imagenet import ImageTruth, LabelledImages
from hasvideo.extents import ScaledMaps
from hasvideo.image.fitting import largest_box, predict
from hasvideo.image.model import ImageModel
from hasvideo.metrics.failures import Failures, find_failures
from hasvideo.metrics.localization import LocalizationScores, MaxBoxAcc, max_box_acc, score_images
from hasvideo.types import Activation, Box, BoxRule, ImageDetections, ImageInfo, ImagePrediction

_MOST = 5  # classes for which a box is made: Top-5 Loc needs five


@dataclass(frozen=True)
class ImageTest:
    """A model's answers for images whose boxes are known.

    Attributes:
        model: the model's name.
        rule: how the CAMs became boxes.
        truth: what is known, by image id.
        classes: the most probable classes of each image, by falling probability, without their CAMs.
        known: the CAM of each image's true class.
        boxes: of the most probable and the true class, by falling probability; a CAM without extent has none.
    """

    model: str
    rule: BoxRule
    truth: dict[str, ImageTruth]
    classes: dict[str, tuple[tuple[str, float], ...]]
    known: dict[str, Activation]
    boxes: dict[str, tuple[Box, ...]]

    @property
    def true_boxes(self) -> dict[str, tuple[Box, ...]]:
        """Ground truth by image id."""
        return {image: truth.boxes for image, truth in self.truth.items()}

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Width and height by image id."""
        return {image: (truth.width, truth.height) for image, truth in self.truth.items()}

    @property
    def predictions(self) -> dict[str, ImagePrediction]:
        """What metrics compare with the ground truth."""
        return {
            image: ImagePrediction(tuple(label for label, _ in classes), self.boxes[image])
            for image, classes in self.classes.items()
        }

    @cached_property
    def scores(self) -> LocalizationScores:
        """Top-1 and Top-5 Clas and Loc, GT-known Loc."""
        return score_images(self.predictions, self.true_boxes)

    @cached_property
    def failures(self) -> Failures:
        """What went wrong with each image's box."""
        return find_failures(self.predictions, self.true_boxes)

    @cached_property
    def max_box(self) -> MaxBoxAcc:
        """GT-known Loc at every threshold; MaxBoxAccV2 is its mean. Without OpenCV a UsageError says how to get it."""
        return max_box_acc(ScaledMaps(list(self.known), lambda i: self.known[i].cam), self.true_boxes, self.sizes)

    def detections(self) -> list[ImageDetections]:
        """Put the boxes into the form that writers take, without the CAMs."""
        return [
            ImageDetections(
                image,
                ImageInfo(Path(image), *self.sizes[image]),
                self.boxes[image],
                tuple(Activation(label, score, np.zeros((1, 1), np.float32)) for label, score in classes),
                self.rule,
                self.model,
                self.truth[image].boxes,
            )
            for image, classes in self.classes.items()
        ]


def run_test(model: ImageModel, samples: LabelledImages, truth: Mapping[str, ImageTruth]) -> ImageTest:
    """Classify images and localize their most probable classes and their true one.

    Args:
        model: the trained localizer.
        samples: the images, with their classes; files are named by image id.
        truth: by image id, with the images' sizes.
    """
    images = [path.stem for path in samples.paths]
    classes, known, boxes = {}, {}, {}
    for image, prediction in zip(images, predict(model, samples, _MOST), strict=True):
        size = truth[image].width, truth[image].height
        wanted = {a.label: a for a in (*prediction.activations, prediction.known)}
        found = [largest_box(activation, *size, model.rule) for activation in wanted.values()]
        classes[image] = tuple((a.label, a.score) for a in prediction.activations)
        known[image] = prediction.known
        boxes[image] = tuple(box for box in found if box is not None)
    return ImageTest(model.name, model.rule, {i: truth[i] for i in images}, classes, known, boxes)
