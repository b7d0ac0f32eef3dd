"""Find when which action happens: ``python -m hasvideo.localize video.mp4`` or ``hasvideo.localize("video.mp4")``."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from hasvideo.commands import CallableModule, CommandParser, Namespace, run
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.types import Activation, Detections, IntervalRule, ThresholdMode

if TYPE_CHECKING:
    import numpy as np

    from hasvideo.model import Model
    from hasvideo.types import VideoInfo
    from hasvideo.video.extraction import FrameWatcher

TOP_K = 5


@dataclass(frozen=True)
class Choice:
    """Which classes are localized, and how; None leaves it to the model.

    Attributes:
        classes: names; these and no others, however improbable. Empty: the most probable ones.
        top_k: at most so many of the most probable classes.
        min_class_score: video-level probability, 0..1, from which a class is localized.
        threshold, threshold_mode, merge_gap, min_duration: see :class:`hasvideo.types.IntervalRule`.
        nms_tiou: intervals of one class that overlap a better one by more than this tIoU are dropped.

    Raises:
        UsageError: a value is out of its range.
    """

    classes: tuple[str, ...] = ()
    top_k: int = TOP_K
    min_class_score: float | None = None
    threshold: float | None = None
    threshold_mode: ThresholdMode | None = None
    merge_gap: float | None = None
    min_duration: float | None = None
    nms_tiou: float = 0.5

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise UsageError(f"top-k is a number of classes from 1, got {self.top_k}")
        for name, value in (("min-class-score", self.min_class_score), ("nms-tiou", self.nms_tiou)):
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{name} is a number from 0 to 1, got {value}")

    def rule(self, default: IntervalRule) -> IntervalRule:
        """The model's rule with what was chosen otherwise.

        Raises:
            UsageError: a value is out of its range.
        """
        from hasvideo.extents import check_rule

        wishes = {
            "threshold": self.threshold,
            "mode": self.threshold_mode,
            "merge_gap": self.merge_gap,
            "min_duration": self.min_duration,
        }
        return check_rule(replace(default, **{k: v for k, v in wishes.items() if v is not None}))  # type: ignore[arg-type]


class Localizer:
    """A model and its feature extractor, loaded once for many videos.

    Args:
        model: ``kinetics400``, the path of a checkpoint, or a :class:`hasvideo.model.Model`.
        decoder: ``decord``, ``torchcodec`` or ``pyav``.
        engine: ``auto``, ``torch`` or ``openvino``.
        device: ``cpu`` or a torch device such as ``cuda``.

    Raises:
        UsageError: an unknown model, decoder, engine or device.
        HasvideoError: weights cannot be had, or the checkpoint is not one or wants other weights.
    """

    def __init__(
        self,
        model: str | Path | Model = "kinetics400",
        decoder: str = "decord",
        engine: str = "auto",
        device: str = "cpu",
    ) -> None:
        from hasvideo.model import load_model
        from hasvideo.video.decode import check_request
        from hasvideo.video.engine import resolve_engine
        from hasvideo.video.extractors import load_extractor

        check_request(decoder, None, None, None, None)
        resolve_engine(engine, device)
        self.model = load_model(model) if isinstance(model, str | Path) else model
        self.decoder = decoder
        self.extractor = load_extractor(self.model.extractor, engine, device)
        found, wanted = self.extractor.weights_sha256, self.model.weights_sha256
        if wanted and found != wanted:
            raise HasvideoError(
                f"model {self.model.name} was trained on features of {self.model.extractor} with weights "
                f"{wanted[:12]}, here they are {found[:12]}"
            )

    def __call__(
        self,
        path: Path,
        choice: Choice | None = None,
        *,
        start: float | None = None,
        end: float | None = None,
        video: str | None = None,
        watch: FrameWatcher | None = None,
    ) -> Detections:
        """Localize actions in one video; see :func:`localize`."""
        from hasvideo.extents import read_detections
        from hasvideo.video.extraction import extract_features

        choice = choice or Choice()
        rule, names = choice.rule(self.model.rule), self.resolve_classes(choice.classes)
        features = extract_features(path, self.extractor, decoder=self.decoder, start=start, end=end, watch=watch)
        activations = _select(self.model.activations(features.array), choice, names, self.model.min_class_score)
        return read_detections(
            Detections(
                video=Path(path).stem if video is None else video,
                info=features.info,
                intervals=(),
                activations=activations,
                edges=features.edges,
                rule=rule,
                model=self.model.name,
            ),
            choice.nms_tiou,
        )

    def resolve_classes(self, names: Sequence[str]) -> tuple[str, ...]:
        """The model's spelling of class names given in any case.

        Raises:
            UsageError: the model does not know a name; the nearest ones are suggested.
        """
        known = {name.casefold(): name for name in self.model.classes}
        for name in names:
            if name.casefold() not in known:
                close = [known[c] for c in difflib.get_close_matches(name.casefold(), known, n=3)]
                hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"it knows {len(known)} classes"
                raise UsageError(f"model {self.model.name} has no class {name!r}; {hint} (--list-classes shows all)")
        return tuple(known[name.casefold()] for name in names)


def localize(
    path: str | Path,
    *,
    model: str | Path | Model | Localizer = "kinetics400",
    classes: Sequence[str] = (),
    top_k: int = TOP_K,
    min_class_score: float | None = None,
    threshold: float | None = None,
    threshold_mode: ThresholdMode | None = None,
    merge_gap: float | None = None,
    min_duration: float | None = None,
    nms_tiou: float = 0.5,
    start: float | None = None,
    end: float | None = None,
    decoder: str = "decord",
    engine: str = "auto",
    device: str = "cpu",
) -> Detections:
    """Localize actions in one video.

    >>> detections = hasvideo.localize("video.mp4", classes=["pull ups", "lunge"])
    >>> for i in detections.intervals:
    ...     print(f"{i.start:.2f} s - {i.end:.2f} s  {i.label}  {i.score:.2f}")

    Args:
        path: video file.
        model: ``kinetics400``, the path of a checkpoint made by ``hasvideo train``, or a :class:`Localizer`, which
            saves loading for every further video (decoder, engine and device are then its own).
        classes: names of the classes to localize, however improbable; empty: the most probable ones.
        top_k: at most so many of the most probable classes.
        min_class_score: video-level probability, 0..1, from which a class is localized; None: the model's.
        threshold: fraction, 0..1, of the CAM's maximum from which a time step is in an interval; None: the model's.
        threshold_mode: ``max`` or ``minmax`` (fraction of the CAM's range); None: the model's.
        merge_gap: seconds; intervals of one class no further apart become one; None: the model's.
        min_duration: seconds; shorter intervals are dropped; None: the model's.
        nms_tiou: intervals of one class that overlap a better one by more are dropped.
        start, end: part of the video to look at, seconds.
        decoder: ``decord``, ``torchcodec`` or ``pyav``.
        engine: ``auto``, ``torch`` or ``openvino``.
        device: ``cpu`` or a torch device such as ``cuda``.

    Returns:
        Intervals by falling score, with the temporal CAM of every class that was looked at. An interval's score is the
        mean of its CAM relative to the CAM's maximum, times the class's probability: 0..1.

    Raises:
        UsageError: an unknown model, class, decoder, engine or device, or a value out of range.
        HasvideoError: the video cannot be read (:class:`hasvideo.errors.DecodeError`), or weights cannot be had.
    """
    localizer = model if isinstance(model, Localizer) else Localizer(model, decoder, engine, device)
    names = (classes,) if isinstance(classes, str) else tuple(classes)
    choice = Choice(names, top_k, min_class_score, threshold, threshold_mode, merge_gap, min_duration, nms_tiou)
    return localizer(Path(path), choice, start=start, end=end)


def _select(
    activations: Sequence[Activation], choice: Choice, names: Sequence[str], default_score: float
) -> tuple[Activation, ...]:
    if names:
        return tuple(a for a in activations if a.label in names)
    least = default_score if choice.min_class_score is None else choice.min_class_score
    return tuple(a for a in activations[: choice.top_k] if a.score >= least)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: parse, check, localize one video after the other."""
    options = _parser().parse_args(argv)
    if options.list_classes:
        from hasvideo.model import load_model

        print("\n".join(load_model(options.model).classes))
        return 0
    return _Batch(options).run()


def _parser() -> CommandParser:
    parser = CommandParser("localize", "Find when which action happens in videos.")
    add = parser.add_argument
    add("inputs", nargs="*", help="videos, folders of videos, glob patterns; put -- before a name with a leading dash")
    add("-f", "--format", nargs="+", default=[], help="files: json csv srt vtt ass eaf labelstudio png html, or all")
    add("-o", "--output", type=Path | None, default=None, help="folder of those files (default: the current one)")
    add("--results", type=Path | None, default=None, help="also write all videos' detections to this one JSON file")
    add("--model", default="kinetics400", help="kinetics400, or a checkpoint made by hasvideo train")
    add("--classes", type=str | list[str] | None, default=None, help='localize these classes only: "pull ups,lunge"')
    add("--list-classes", action="store_true", help="print the model's classes and stop")
    add("--top-k", type=int, default=TOP_K, help="localize at most so many classes a video, the most probable ones")
    add("--min-class-score", type=float, help="... and only from this probability (default: the model's)")
    add("--threshold", type=float, help="fraction of the CAM's maximum that an interval exceeds (default: the model's)")
    add("--threshold-mode", choices=get_args(ThresholdMode), help="fraction of the maximum, or of the range")
    add("--merge-gap", type=float, help="join intervals of a class no further apart, seconds")
    add("--min-duration", type=float, help="drop shorter intervals, seconds")
    add("--nms-tiou", type=float, default=0.5, help="drop intervals overlapping a better one of their class by more")
    add("--start", type=float, help="look from here on, seconds")
    add("--end", type=float, help="look up to here, seconds")
    add("--decoder", default="decord", help="decord, torchcodec or pyav")
    add("--engine", default="auto", help="auto, torch or openvino (auto: openvino on the CPU where it is installed)")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, mps ...")
    add("--recursive", action="store_true", help="look into the folders of folders")
    add("--skip-existing", action="store_true", help="skip videos whose output files are all there")
    add("--embed-video", action="store_true", help="put the video into the HTML page instead of linking it")
    add("--quiet", action="store_true", help="no progress on standard error")
    return parser


class _Batch:
    """One run of the command over all of its inputs."""

    def __init__(self, options: Namespace) -> None:
        from hasvideo.inputs import find_videos
        from hasvideo.output.writers import resolve_formats
        from hasvideo.video.decode import check_request

        names, more_inputs = _formats_and_inputs(options.format)
        inputs = [*options.inputs, *more_inputs]
        if not inputs:
            raise UsageError("no videos given (hasvideo localize video.mp4; --help shows the options)")
        self.options = options
        self.formats = resolve_formats(names) if names else []
        self.folder = options.output or Path()
        _check_combination(options, self.formats)
        check_request(options.decoder, None, None, options.start, options.end)
        self.choice = _choice(options)
        self.inputs = find_videos(inputs, options.recursive)
        self.failures: list[HasvideoError] = []
        self.done: list[Detections] = []

    def run(self) -> int:
        """Localize; 0 if every video was, else 2 if nothing but wrong usage was in the way, else 1."""
        for argument, error in self.inputs.missing:
            self._failed(argument, error)
        todo = {video: path for video, path in self.inputs.videos.items() if not self._skipped(video, path)}
        if todo:
            self._localize_all(todo)
        if not self.failures:
            return 0
        return 2 if not self.done and all(isinstance(e, UsageError) for e in self.failures) else 1

    def _localize_all(self, videos: dict[str, Path]) -> None:
        from hasvideo.files import check_writable
        from hasvideo.output.tables import write_results_json

        options = self.options
        if self.formats:
            check_writable(self.folder)
        if options.results:
            check_writable(options.results.parent)
        localizer = Localizer(options.model, options.decoder, options.engine, options.device)
        self.choice = replace(self.choice, classes=_split_classes(options.classes, localizer))
        self.choice.rule(localizer.model.rule)
        try:
            for number, (video, path) in enumerate(videos.items(), start=1):
                self._try(localizer, video, path, f"[{number}/{len(videos)}] " if len(videos) > 1 else "")
        finally:  # an interrupted batch keeps what it found
            if options.results and self.done:
                write_results_json(self.done, options.results)

    def _try(self, localizer: Localizer, video: str, path: Path, position: str) -> None:
        try:
            self._localize(localizer, video, path, position)
        except HasvideoError as error:
            self._failed(str(path), error)
        except (RuntimeError, ValueError, MemoryError) as error:  # of a library: the other videos must not pay for it
            self._failed(str(path), HasvideoError(f"unexpected {type(error).__name__}: {error}"))

    def _localize(self, localizer: Localizer, video: str, path: Path, position: str) -> None:
        from hasvideo.output.tables import table
        from hasvideo.output.writers import write
        from hasvideo.progress import FilmStrip, VideoProgress

        options = self.options
        strip = FilmStrip()
        with VideoProgress(f"{position}{path.name}", options.start, options.end, options.quiet) as progress:

            def watch(info: VideoInfo, time: float, frames: np.ndarray) -> None:
                progress(info, time, frames)
                strip(info, time, frames)

            found = localizer(path, self.choice, start=options.start, end=options.end, video=video, watch=watch)
        files: list[Path] = []
        if self.formats:
            files = write(found, self.folder, self.formats, thumbnails=strip.frames, embed_video=options.embed_video)
        self.done.append(replace(found, activations=()))
        print(f"{path}  ({found.info.duration:.2f} s)\n{table(found)}\n", flush=True)
        for file in files:
            print(f"wrote {file}", file=sys.stderr)

    def _skipped(self, video: str, path: Path) -> bool:
        from hasvideo.output.writers import output_paths

        if not self.options.skip_existing:
            return False
        files = output_paths(video, self.folder, self.formats)
        if not all(file.exists() for file in files):
            return False
        print(f"skipped {path}: {', '.join(map(str, files))} there already", file=sys.stderr)
        return True

    def _failed(self, what: str, error: HasvideoError) -> None:
        message = " ".join(str(error).split())
        self.failures.append(error)
        print(f"hasvideo: error: {message if what in message else f'{what}: {message}'}", file=sys.stderr)


def _formats_and_inputs(words: str | Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell formats from videos: ``-f json clip.mp4`` hands both to the option."""
    from hasvideo.output.writers import FORMATS

    words = [words] if isinstance(words, str) else list(words)
    videos = [w for w in words if w.lower() not in FORMATS and (Path(w).exists() or Path(w).suffix)]
    return [w for w in words if w not in videos], videos


def _check_combination(options: Namespace, formats: Sequence[str]) -> None:
    if options.skip_existing and (options.results or not formats):
        raise UsageError("--skip-existing goes by the files of --format and leaves holes in --results: "
                         "give --format and not --results")  # fmt: skip
    if options.output is not None and not formats:
        raise UsageError("--output names the folder of the files of --format: say which, such as -f html")
    if options.embed_video and "html" not in formats:
        raise UsageError("--embed-video is for the page: add -f html")


def _choice(options: Namespace) -> Choice:
    wishes = ("top_k", "min_class_score", "threshold", "threshold_mode", "merge_gap", "min_duration", "nms_tiou")
    return Choice(**{name: options[name] for name in wishes})


def _split_classes(text: str | Sequence[str] | None, localizer: Localizer) -> tuple[str, ...]:
    """Class names: a list of them, one name that may hold a comma itself, or several separated by commas."""
    if text is None:
        return ()
    if isinstance(text, str):
        known = {name.casefold() for name in localizer.model.classes}
        text = [text] if text.strip().casefold() in known else text.split(",")
    names = [name.strip() for name in text if name.strip()]
    if not names:
        raise UsageError("--classes is empty; leave it out for the most probable classes")
    return localizer.resolve_classes(names)


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
