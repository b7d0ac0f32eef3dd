"""The localize command on a Ray cluster: its workers read the videos, here the results are told and written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hasvideo.batch import VideoBatch
from hasvideo.choice import Choice
from hasvideo.errors import UsageError
from hasvideo.features.make import split_engine
from hasvideo.features.ray_pool import run_on_ray
from hasvideo.progress import FilmStrip
from hasvideo.types import Detections
from hasvideo.video.localizer import Localizer
from hasvideo.video.model import Model, load_model

File = tuple[str, Path]
Strip = list[tuple[float, np.ndarray]]


class RayVideoBatch(VideoBatch):
    """Actions in videos, in the order in which the workers are done."""

    def _check(self) -> None:
        super()._check()
        if self._streams:
            what = f"{self._streams[0]} is a stream, which only this process can read"
            raise UsageError(f"--engine ray is for files; {what}")

    def _load(self, files: dict[str, Path]) -> Sequence[str]:
        self._model = load_model(self.options.model)
        self.choice.rule(self._model.rule)
        return self._model.classes

    def _progress(self, files: dict[str, Path]) -> Iterable[File]:
        options = self.options
        weights = options.weights and options.weights.absolute()  # workers have current folders of their own
        make = partial(_Finder, self._model, options.decoder, split_engine(options.engine)[1], weights,
                       self.choice, options.start, options.end)  # fmt: skip
        todo = [(file_id, path.absolute()) for file_id, path in files.items()]
        for (file_id, _), self._outcome in run_on_ray(
            make, todo, options.ray_address, device=options.device, engine=options.engine
        ):
            yield file_id, files[file_id]

    def _localize(self, file_id: str, path: Path, position: str) -> tuple[Detections, list[Path]]:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        found, frames = self._outcome
        found = replace(found, info=replace(found.info, path=path))
        return found, self._write(found, frames)


class _Finder:
    """On a worker: localizes in one video after the other."""

    def __init__(
        self,
        model: Model,
        decoder: str,
        engine: str,
        weights: Path | None,
        choice: Choice,
        start: float | None,
        end: float | None,
        device: str,
    ) -> None:
        self._localizer = Localizer(model, decoder, engine, device, weights)
        self._choice, self._start, self._end = choice, start, end

    def __call__(self, file: File) -> tuple[Detections, Strip]:
        strip = FilmStrip()
        video, path = file
        found = self._localizer(path, self._choice, start=self._start, end=self._end, video=video, watch=strip)
        return found, strip.frames
