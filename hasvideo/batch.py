"""The localize command at work: one file after the other, where a failing one does not stop the rest."""

from __future__ import annotations

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

import numpy as np
from tqdm import tqdm

from hasvideo.choice import Choice, check_options, split_classes
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.files import check_writable
from hasvideo.frames.decode import check_request
from hasvideo.frames.live import StreamPath
from hasvideo.image.localizer import ImageLocalizer
from hasvideo.inputs import IMAGE, SEGMENTS, VIDEO, Medium, find_files
from hasvideo.output.base import Found, Thumbnail
from hasvideo.output.images import image_table
from hasvideo.output.results import IMAGE_RESULTS, SEGMENT_RESULTS, VIDEO_RESULTS, Results
from hasvideo.output.segments import segments_table
from hasvideo.output.tables import table
from hasvideo.output.writers import (
    FORMATS,
    IMAGE_FORMATS,
    PICTURES,
    REGISTRIES,
    SEGMENT_FORMATS,
    Registry,
    output_paths,
    resolve_formats,
    split_names,
    unknown_format,
    write,
)
from hasvideo.progress import FilmStrip, VideoProgress
from hasvideo.segmentation.localizer import Segmenter
from hasvideo.types import Box, Detections, ImageDetections, Segmentation
from hasvideo.video.localizer import Localizer
from hasvideo.video.stream import LOOK_BACK, follow

if TYPE_CHECKING:
    from hasvideo.commands import Namespace
    from hasvideo.datasets.imagenet import ImageTruth
    from hasvideo.types import ImageInfo, VideoInfo

Strip = list[Thumbnail]
Outcome = tuple[Found, Strip] | Exception
"""What was found in a file, with some of its frames for pictures; or why nothing was."""

FAILURES = (HasvideoError, RuntimeError, ValueError, MemoryError)
"""What a file may fail by while the others go on: this package's errors, and those of libraries."""


class Batch(ABC, Generic[Found]):
    """One run of the command over all of its inputs.

    Args:
        options: those of the command line.

    Raises:
        UsageError: options contradict each other or the model, or there are no inputs.
    """

    medium: ClassVar[Medium]
    registry: ClassVar[Registry]
    results: ClassVar[Results]

    def __init__(self, options: Namespace) -> None:
        words: list[str] = [options.format] if isinstance(options.format, str) else options.format
        names = [word for word in words if not _is_input(word)]
        inputs = [*options.inputs, *(word for word in words if _is_input(word))]
        _check_names(names, self.registry)
        if not inputs:
            raise UsageError("no videos or images given (hasvideo localize video.mp4; --help shows the options)")
        self.options = options
        self.folder: Path = options.output or Path()
        self.inputs = find_files(
            inputs, self.medium, options.recursive, self.medium.why_not(options.model), self.medium is VIDEO
        )
        self.formats: list[str] = []
        if self.inputs.files:
            self.formats = resolve_formats(names, self.registry) if names else []
            self._check()
        self.choice = Choice(**{f.name: options[f.name] for f in fields(Choice) if f.name != "classes"})
        self.failures: list[Exception] = []
        self.done: list[Found] = []

    def run(self) -> int:
        """Localize; return 0 if all files worked, else 2 if nothing but wrong usage was in the way, else 1."""
        for argument, error in self.inputs.missing:
            self._failed(argument, error)
        if self.inputs.left_out:
            other, count = self.medium.other, self.inputs.left_out
            what = other.article if count == 1 else f"{count} {other.many}"
            _say(f"hasvideo: warning: left out {what}: {self.medium.why_not(self.options.model)}", error=True)
        todo = {file_id: path for file_id, path in self.inputs.files.items() if not self._skipped(file_id, path)}
        if todo:
            self._localize_all(todo)
        if not self.failures:
            return 0
        return 2 if not self.done and all(isinstance(e, UsageError) for e in self.failures) else 1

    @abstractmethod
    def _load(self, files: dict[str, Path]) -> Sequence[str]:
        """Load what all the files need; return the model's classes."""

    @abstractmethod
    def _find(self, file_id: str, path: Path, position: str) -> tuple[Found, Strip]:
        """Localize in one file; ``position`` is its place among many, for the progress bar."""

    @abstractmethod
    def _describe(self, found: Found) -> str:
        """Say what was found, as standard output shows it after the file's path."""

    def _check(self) -> None:
        options = self.options
        check_options(vars(options), self.medium, options.model)
        if options.results:
            self.results.check(options.results)
        if options.skip_existing and (options.results or not self.formats):
            raise UsageError("--skip-existing goes by the files of --format and leaves holes in --results: "
                             "give --format and not --results")  # fmt: skip
        if options.output is not None and not self.formats:
            raise UsageError("--output names the folder of the files of --format: say which, such as -f json")
        if options.theme != "light" and not PICTURES.intersection(self.formats):
            raise UsageError("--theme is for pictures: add -f png, svg or pdf")

    def _localize_all(self, files: dict[str, Path]) -> None:
        options = self.options
        if self.formats:
            check_writable(self.folder)
        if options.results:
            check_writable(options.results.parent)
        known = self._prepare(files)
        try:
            for path, outcome in self._outcomes(files):
                self._tell(path, outcome, known)
        finally:  # an interrupted batch keeps what it found
            if options.results and self.done:
                self.results.write(self.done, options.results, known)

    def _prepare(self, files: dict[str, Path]) -> Sequence[str]:
        known = self._load(files)
        self.choice = replace(self.choice, classes=split_classes(self.options.classes, known, self.options.model))
        return known

    def _outcomes(self, files: dict[str, Path]) -> Iterator[tuple[Path, Outcome[Found]]]:
        """Yield every file with what was found in it, or with why nothing was: the others must not pay for it."""
        # None: not in a log, where every table would come with a bar. A video has a bar of its own.
        hidden = True if self.medium is VIDEO or self.options.quiet or len(files) == 1 else None
        bar = tqdm(files.items(), desc="images", unit="image", file=sys.stderr, disable=hidden, leave=False)
        for number, (file_id, path) in enumerate(bar, start=1):
            position = f"[{number}/{len(files)}] " if len(files) > 1 else ""
            try:
                outcome: Outcome[Found] = self._find(file_id, path, position)
            except FAILURES as error:
                outcome = error
            yield path, outcome

    def _tell(self, path: Path, outcome: Outcome[Found], known: Sequence[str]) -> None:
        """Write and print what was found in a file."""
        try:
            if isinstance(outcome, Exception):
                raise outcome
            found, strip = outcome
            more: dict[str, Any] = {name: self.options[name] for name in ("embed_video", "labelstudio_prefix", "theme")}
            more |= {"thumbnails": strip, "classes": known}
            written = write(found, self.folder, self.formats, **more) if self.formats else []
        except FAILURES as error:
            self._failed(str(path), error)
        else:
            _say(f"{path}  {self._describe(found)}\n")
            for file in written:
                _say(f"wrote {file}", error=True)
            self.done.append(_without_maps(found))

    def _skipped(self, file_id: str, path: Path) -> bool:
        if not self.options.skip_existing:
            return False
        files = output_paths(file_id, self.folder, self.formats, self.registry)
        if not all(file.exists() for file in files):
            return False
        _say(f"skipped {path}: {', '.join(map(str, files))} there already", error=True)
        return True

    def _failed(self, what: str, error: Exception) -> None:
        unexpected = "" if isinstance(error, HasvideoError) else f"unexpected {type(error).__name__}: "
        message = unexpected + " ".join(str(error).split())
        self.failures.append(error)
        _say(f"hasvideo: error: {message if what in message else f'{what}: {message}'}", error=True)


class VideoBatch(Batch[Detections]):
    """Actions in videos."""

    medium, registry, results = VIDEO, FORMATS, VIDEO_RESULTS

    def _check(self) -> None:
        super()._check()
        for option, of in (("embed_video", "html"), ("labelstudio_prefix", "labelstudio")):
            if self.options[option] and of not in self.formats:
                raise UsageError(f"--{option.replace('_', '-')} is for {of}: add -f {of}")
        if self.options.embed_video and self._streams:
            raise UsageError(f"--embed-video is for files; {self._streams[0]} is a stream")
        check_request(self.options.decoder, None, None, self.options.start, self.options.end)

    @property
    def _streams(self) -> list[StreamPath]:
        return [path for path in self.inputs.files.values() if isinstance(path, StreamPath)]

    def _load(self, files: dict[str, Path]) -> Sequence[str]:
        options = self.options
        self.localizer = Localizer(options.model, options.decoder, options.engine, options.device, options.weights)
        self.choice.rule(self.localizer.model.rule)
        return self.localizer.model.classes

    def _find(self, file_id: str, path: Path, position: str) -> tuple[Detections, Strip]:
        start, end, strip = self.options.start, self.options.end, FilmStrip()
        with VideoProgress(f"{position}{path.name}", start, end, self.options.quiet) as progress:

            def watch(info: VideoInfo, time: float, frames: np.ndarray) -> None:
                progress(info, time, frames)
                strip(info, time, frames)

            found = self.localizer(path, self.choice, start=start, end=end, video=file_id, watch=watch)
        return found, strip.frames

    def _describe(self, found: Detections) -> str:
        return f"({found.info.duration:.2f} s)\n{table(found)}"


class Follow(VideoBatch):
    """Actions in one video as it runs: a line of JSON each, as soon as it is over."""

    def __init__(self, options: Namespace) -> None:
        super().__init__(options)
        if len(self.inputs.files) + len(self.inputs.missing) + self.inputs.left_out != 1:
            raise UsageError(f"--follow reads one video or stream, got {' '.join(map(str, options.inputs))}")

    def _check(self) -> None:
        options = self.options
        useless = {
            "--format": self.formats, "--output": options.output, "--results": options.results,
            "--theme": options.theme != "light", "--embed-video": options.embed_video,
            "--labelstudio-prefix": options.labelstudio_prefix,
            "--skip-existing": options.skip_existing, "--recursive": options.recursive,
        }  # fmt: skip
        given = [name for name, value in useless.items() if value]
        if given:
            raise UsageError(f"{' '.join(given)} cannot be with --follow, which prints JSON Lines as time goes by")
        super()._check()

    def _localize_all(self, files: dict[str, Path]) -> None:
        self._prepare(files)
        (path,), options = files.values(), self.options
        look_back = LOOK_BACK if options.look_back is None else options.look_back
        with VideoProgress(str(path), options.start, options.end, options.quiet) as progress:
            for closed in follow(
                path, self.localizer, self.choice,
                look_back=look_back, start=options.start, end=options.end, watch=progress,
            ):  # fmt: skip
                found = closed.interval
                segment = [round(found.start, 3), round(found.end, 3)]
                line = {"label": found.label, "score": round(found.score, 4), "segment": segment}
                _say(json.dumps(line | {"read": round(closed.read, 3)}))


class ImageBatch(Batch[ImageDetections]):
    """Objects in images."""

    medium, registry, results = IMAGE, IMAGE_FORMATS, IMAGE_RESULTS

    def _check(self) -> None:
        super()._check()
        if self.options.ground_truth and not PICTURES.intersection(self.formats):
            raise UsageError("--ground-truth is drawn into the picture: add -f png")

    def _load(self, files: dict[str, Path]) -> Sequence[str]:
        self.truth = _read_truth(self.options.ground_truth, files) if self.options.ground_truth else {}
        self.localizer = ImageLocalizer(self.options.model, self.options.device)
        self.choice.rule(self.localizer.model.rule)
        return self.localizer.model.classes

    def _find(self, file_id: str, path: Path, position: str) -> tuple[ImageDetections, Strip]:
        found = self.localizer(path, self.choice, image=file_id)
        return replace(found, truth=self._known_boxes(path, found.info)), []

    def _known_boxes(self, path: Path, info: ImageInfo) -> tuple[Box, ...]:
        known = self.truth.get(path.stem)
        if known is None:
            return ()
        if known.width and (known.width, known.height) != (info.width, info.height):
            sizes = f"{known.width} x {known.height} pixels, the image has {info.width} x {info.height}"
            _say(f"hasvideo: warning: boxes of {path} are not drawn: they are for {sizes}", error=True)
            return ()
        return known.boxes

    def _describe(self, found: ImageDetections) -> str:
        return f"({found.info.width} x {found.info.height})\n{image_table(found)}"


class SegmentBatch(Batch[Segmentation]):
    """Segments of images."""

    medium, registry, results = SEGMENTS, SEGMENT_FORMATS, SEGMENT_RESULTS

    def _load(self, files: dict[str, Path]) -> Sequence[str]:
        self.localizer = Segmenter(self.options.model, self.options.device)
        return self.localizer.model.classes

    def _find(self, file_id: str, path: Path, position: str) -> tuple[Segmentation, Strip]:
        return self.localizer(path, image=file_id), []

    def _describe(self, found: Segmentation) -> str:
        return f"({found.info.width} x {found.info.height})\n{segments_table(found)}"


def _read_truth(path: Path, files: dict[str, Path]) -> dict[str, ImageTruth]:
    """Read known boxes by image, with readable class names where the file of them lies beside or above."""
    from hasvideo.datasets.imagenet import MAPPING, read_mapping, read_truth

    problems: list[str] = []
    truth = read_truth(path, problems)
    if problems:
        _say(f"hasvideo: warning: {len(problems)} unusable entries in {path}, such as: {problems[0]}", error=True)
    if not any(file.stem in truth for file in files.values()):
        raise UsageError(f"--ground-truth {path} knows none of the images, such as {next(iter(files.values())).stem}")
    root = next((folder for folder in (path, *path.absolute().parents) if (folder / MAPPING).is_file()), None)
    names = read_mapping(root) if root else {}
    return {
        image: replace(known, boxes=tuple(replace(b, label=names.get(b.label, b.label)) for b in known.boxes))
        for image, known in truth.items()
    }


def _without_maps(found: Found) -> Found:
    """Drop the maps, which would fill the memory: results of many files need none."""
    if isinstance(found, Segmentation):
        return replace(found, labels=np.zeros((0, 0), np.uint8))
    return replace(found, activations=tuple(replace(a, cam=np.zeros(0, np.float32)) for a in found.activations))


def _say(text: str, error: bool = False) -> None:
    """Print a line above the progress bar, if there is one."""
    stream = sys.stderr if error else sys.stdout
    with tqdm.external_write_mode(file=stream):
        print(text, file=stream, flush=True)


def _is_input(word: str) -> bool:
    """Tell files from formats: ``-f json clip.mp4`` hands both to the option.

    A bare word is a format, whatever lies in the current folder; what is spelled like a path, pattern or URL is none.
    """
    return word == "-" or any(mark in word for mark in (".", "/", os.sep, "*", "?", "["))


def _check_names(words: Sequence[str], registry: Registry) -> None:
    """Raise UsageError, before anything is looked at, where a word of ``--format`` is no format of any kind of file."""
    known = {"all"}.union(*REGISTRIES.values())
    for word in words:
        for name in split_names([word]):
            if name not in known:
                hint = f"; to localize {word}, name it before -f" if Path(word).exists() else ""
                raise UsageError(unknown_format(name, registry) + hint)
