"""The localize command on a Ray cluster: its workers read the videos, here the results are told and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hasvideo.batch import Outcome, Strip, VideoBatch
from hasvideo.choice import Choice
from hasvideo.errors import UsageError
from hasvideo.features.make import split_engine
from hasvideo.features.ray_pool import run_on_ray
from hasvideo.progress import FilmStrip
from hasvideo.types import Detections
from hasvideo.video.localizer import Localizer
from hasvideo.video.model import load_model


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

    def _outcomes(self, files: dict[str, Path]) -> Iterator[tuple[Path, Outcome[Detections]]]:
        options = self.options
        weights = options.weights and options.weights.absolute()  # workers have current folders of their own
        load = partial(Localizer, self._model, options.decoder, split_engine(options.engine)[1], weights=weights)
        make = partial(_worker, load, self.choice, options.start, options.end)
        todo = [(file_id, path.absolute()) for file_id, path in files.items()]
        for (file_id, _), outcome in run_on_ray(
            make, todo, options.ray_address, device=options.device, engine=options.engine
        ):
            path = files[file_id]
            if not isinstance(outcome, Exception):
                found, strip = outcome
                outcome = replace(found, info=replace(found.info, path=path)), strip
            yield path, outcome


def _worker(
    load: Callable[..., Localizer], choice: Choice, start: float | None, end: float | None, device: str
) -> Callable[[tuple[str, Path]], tuple[Detections, Strip]]:
    """Load, on a worker, what localizes in one video after the other."""
    localizer = load(device=device)

    def find(file: tuple[str, Path]) -> tuple[Detections, Strip]:
        (video, path), strip = file, FilmStrip()
        return localizer(path, choice, start=start, end=end, video=video, watch=strip), strip.frames

    return find
