"""Localize actions in videos with a model that is loaded once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hasvideo.choice import Choice, resolve_classes
from hasvideo.errors import HasvideoError
from hasvideo.frames.live import as_source
from hasvideo.types import Detections

if TYPE_CHECKING:
    from hasvideo.features.extract_one import FrameWatcher
    from hasvideo.video.model import Model


class Localizer:
    """A model and its feature extractor, loaded once for many videos.

    Args:
        model: ``kinetics400``, the path of a checkpoint, or a :class:`hasvideo.video.model.Model`.
        decoder: ``decord``, ``torchcodec`` or ``pyav``.
        engine: ``auto``, ``torch`` or ``openvino``.
        device: ``auto`` (a GPU that works, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        weights: file of the extractor's weights, where the model was trained on features by such a file.

    Raises:
        UsageError: an unknown model, decoder, engine or device, or one that is not there; no weights for an extractor
            that needs a file.
        HasvideoError: weights cannot be had, or the checkpoint is not one or wants other weights.
    """

    def __init__(
        self,
        model: str | Path | Model = "kinetics400",
        decoder: str = "decord",
        engine: str = "auto",
        device: str = "auto",
        weights: str | Path | None = None,
    ) -> None:
        from hasvideo.device import resolve_device
        from hasvideo.features.extractors import load_extractor
        from hasvideo.features.runtime import resolve_engine
        from hasvideo.frames.decode import require_decoder
        from hasvideo.video.model import load_model

        device = resolve_device(device, engine)
        resolve_engine(engine, device)
        require_decoder(decoder)
        self.model = load_model(model) if isinstance(model, str | Path) else model
        self.decoder = decoder
        if ":" in self.model.extractor:  # a dotted path: a file from anywhere must not choose what is imported
            raise HasvideoError(f"model {self.model.name} names code as its extractor: {self.model.extractor!r}")
        self.extractor = load_extractor(self.model.extractor, engine, device, Path(weights) if weights else None)
        found, wanted = self.extractor.weights_sha256, self.model.weights_sha256
        if wanted and found != wanted:
            raise HasvideoError(
                f"model {self.model.name} was trained on features of {self.model.extractor} with weights "
                f"{wanted[:12]}, here they are {found[:12]}: --weights names the file to use"
            )

    def __call__(
        self,
        path: str | Path,
        choice: Choice | None = None,
        *,
        start: float | None = None,
        end: float | None = None,
        video: str | None = None,
        watch: FrameWatcher | None = None,
    ) -> Detections:
        """Localize actions in one video.

        Args:
            path: video file, named pipe, ``-`` or URL; a stream is read to its end.
            choice: classes and rule.
            start: where to look from, seconds; None: the beginning.
            end: where to look to, seconds; None: the end.
            video: id of the video; None: its file's stem.
            watch: see :func:`hasvideo.features.extract_one.extract_features`.

        Raises:
            UsageError: a class, option or range is wrong.
            HasvideoError: the video cannot be read to its end.
        """
        from hasvideo.extents import apply_rule
        from hasvideo.features.extract_one import extract_features

        choice = choice or Choice()
        rule = choice.rule(self.model.rule)
        choice = replace(choice, classes=resolve_classes(choice.classes, self.model.classes, self.model.name))
        path = as_source(path)
        features = extract_features(path, self.extractor, decoder=self.decoder, start=start, end=end, watch=watch)
        chosen = choice.select(self.model.activations(features.array), self.model.min_class_score)
        return apply_rule(
            Detections(
                video=path.stem if video is None else video,
                info=features.info,
                intervals=(),
                # Copies: the maps of all the other classes are not to be kept for these few.
                activations=tuple(replace(activation, cam=np.array(activation.cam)) for activation in chosen),
                edges=features.edges,
                rule=rule,
                model=self.model.name,
            )
        )
