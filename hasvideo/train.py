"""Train on your own videos: ``python -m hasvideo.train VIDEOS`` with a folder a class, or ``--labels labels.csv``.

Labels say what a video shows, never when. Two commands lead from clips to intervals:

    python -m hasvideo.train clips/ -o my.ckpt
    python -m hasvideo.localize new.mp4 --model my.ckpt
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hasvideo.commands import QUIET_HELP, CallableModule, CommandParser, add_machine_options, run
from hasvideo.device import check_name, resolve_device
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.fill import fill
from hasvideo.features.make import Extraction, split_engine
from hasvideo.report import plot_history
from hasvideo.settings import add_options, from_options
from hasvideo.video.recipe import OWN_VIDEOS, WHY_OWN_VIDEOS, Recipe

if TYPE_CHECKING:
    from hasvideo.cam import CamHead
    from hasvideo.datasets.annotations import Annotations
    from hasvideo.datasets.folder import LabelledVideo
    from hasvideo.features.store import FeatureStore
    from hasvideo.video.model import Model

TIOU = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True)
class TrainReport:
    """What came of a training.

    Attributes:
        model: trained on all videos that could be read.
        videos: how many those are.
        counts: how many of each class.
        held_out: videos that a first model was tested on, having been trained without them.
        accuracy: share of them whose most probable class is right, 0..1; None if there are none.
        evaluation: mAP on the held-out videos with known intervals, or on all such videos if none were held out: see
            :func:`hasvideo.metrics.detection.mean_average_precision`; None without such videos.
        skipped: reasons by video that could not be read.
    """

    model: Model
    videos: int
    counts: dict[str, int]
    held_out: tuple[str, ...] = ()
    accuracy: float | None = None
    evaluation: dict[str, Any] | None = None
    skipped: dict[str, str] = field(default_factory=dict)


def train(
    videos: str | Path | Sequence[str | Path],
    output: str | Path = "model.ckpt",
    *,
    labels: str | Path | None = None,
    features: str | Path | None = None,
    annotations: str | Path | None = None,
    recipe: Recipe | None = None,
    holdout: float = 0.2,
    background: str = "none",
    init: str | None = None,
    classes: Mapping[str, str] | None = None,
    recursive: bool = False,
    mmap: bool = False,
    resume: bool = False,
    extraction: Extraction | None = None,
    progress: bool = True,
) -> TrainReport:
    """Train a localizer on videos of which only the classes are known.

    Args:
        videos: a folder that holds a folder a class; with ``labels``: files, folders or patterns, or nothing where
            ``features`` has all the videos.
        output: checkpoint to write. Records of the training go beside it, to the folder ending in ``.training``.
        labels: CSV file with the columns ``video`` and ``label``.
        features: feature folder, which is filled with what it lacks (a packed one has to lack nothing); by default
            beside the checkpoint, ending in ``.features``. A second run finds its features there, and so does one that
            was cut off.
        annotations: intervals of some videos, to measure mAP with. Training never sees them.
        recipe: network, hiding, optimizer; :data:`hasvideo.video.recipe.OWN_VIDEOS` by default.
        holdout: share of the videos, 0 to below 1, to measure with. The saved model is trained on all.
        background: label of the videos that show nothing; it is never reported.
        init: ``kinetics400``, or a checkpoint without layers, to start from where there are few videos.
        classes: with ``init``: its class for each of your labels that it knows by another name.
        recursive: with ``labels``: also look into the folders of a folder.
        mmap: leave the features on disk instead of reading them into memory.
        resume: go on from where a training to the same output was cut off.
        extraction: how features are made; its ``dtype`` gives way to that of a folder that is there. The network is
            trained on the same device, and with an engine of Ray on this machine's own GPU unless it is ``cpu``.
        progress: show bars on standard error.

    Raises:
        UsageError: labels and videos do not fit together, a class has too few videos, or an option is wrong.
        HasvideoError: too few videos can be read, features are damaged, or training fails.
    """
    from hasvideo.checkpoint import save
    from hasvideo.datasets.annotations import load_annotations
    from hasvideo.datasets.folder import check_classes, hold_out
    from hasvideo.files import check_writable

    if not 0 <= holdout < 1:
        raise UsageError(f"holdout is a share, 0 to below 1, got {holdout}")
    output, extraction = Path(output), extraction or Extraction()
    labelled = _find(videos, labels, features, recursive)
    check_classes(labelled, background)
    truth = None if annotations is None else load_annotations(annotations).named_like(labelled)
    start = None if init is None else _start_from(init, _counts(labelled), classes or {})
    check_writable(output.parent)
    device, extraction = _devices(extraction)
    folder = output.with_suffix(".features") if features is None else Path(features)
    paths = {name: video.path for name, video in labelled.items()}
    filled = fill(folder, paths, extraction, ready_made=True, progress=progress)
    for reason in filled.failed.values():
        warnings.warn(f"left out: {reason}", stacklevel=2)
    labelled = _without(filled.failed, labelled, background)
    trainer = _Trainer(filled.store, labelled, recipe or OWN_VIDEOS, background, output, mmap, resume, progress, device)
    if start is not None:
        trainer = trainer.starting_from(start)
    held_out = hold_out(labelled, holdout, trainer.recipe.training.seed)
    tested = set(held_out)
    first, accuracy = trainer.fit([name for name in labelled if name not in tested], held_out)
    model, _ = trainer.fit(list(labelled), []) if held_out else (first, None)
    save(model, output)
    evaluation = None if truth is None else _evaluate(first, filled.store, truth, held_out or list(labelled))
    return TrainReport(model, len(labelled), _counts(labelled), tuple(held_out), accuracy, evaluation, filled.failed)


def render(report: TrainReport, weights: Path | None = None) -> str:
    """Write the report as plain text.

    Args:
        report: what came of a training.
        weights: the file that the extractor was given, if it was.
    """
    classes = ", ".join(f"{name} {count}" for name, count in report.counts.items())
    lines = [f"trained on {report.videos} videos: {classes}"]
    if report.accuracy is not None:
        lines.append(
            f"accuracy: the most probable class is right in {100 * report.accuracy:.0f} % of {len(report.held_out)} "
            "videos that were held out from a first training"
        )
    if report.evaluation is not None:
        of = f"{report.evaluation['counts']['gt_videos']} {'held-out ' if report.held_out else ''}videos with intervals"
        maps = ", ".join(f"{100 * value:.1f} at {tiou}" for tiou, value in report.evaluation["mAP"].items())
        lines.append(f"mAP in % on {of}: {maps}; {100 * report.evaluation['averages']['0.1:0.5']:.1f} over 0.1:0.5")
    if report.skipped:
        lines.append(f"left out, since they could not be read: {len(report.skipped)} videos")
    needed = "" if weights is None else f" --weights {weights}"
    lines.append(f"saved {report.model.name}; try: hasvideo localize NEW.mp4 --model {report.model.name}{needed}")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(argv)
    names = ("labels", "features", "annotations", "holdout", "background", "init", "recursive", "mmap", "resume")
    report = train(
        options.videos,
        options.output,
        recipe=from_options(options, Recipe),
        classes=_pairs(options.classes),
        extraction=Extraction(
            **{name: options[name] for name in ("extractor", "decoder", "engine", "device", "weights", "ray_address")}
        ),
        progress=not options.quiet,
        **{name: options[name] for name in names},
    )
    sys.stdout.write(render(report, options.weights))
    return 1 if report.skipped else 0


def _parser() -> CommandParser:
    parser = CommandParser(
        "train",
        "Train on your own videos, from labels that say what they show and not when.",
        examples=[
            "hasvideo train clips/ -o my.ckpt",
            "hasvideo train videos/ --labels labels.csv --annotations some.json -o my.ckpt",
            "hasvideo localize new.mp4 --model my.ckpt",
        ],
    )
    parser.add_argument("videos", nargs="*",
        help="a folder that holds a folder a class; with --labels: files, folders or patterns")  # fmt: skip
    _add_data(parser.add_argument_group("data").add_argument)
    add = parser.add_argument_group("run").add_argument
    add("-o", "--output", default="model.ckpt", metavar="FILE", help="checkpoint to write")
    add("--holdout", type=float, default=0.2, help="share of the videos to measure with; the saved model has seen all")
    add("--init", type=str | None, default=None, metavar="MODEL",
        help="model to start from where videos are few, as kinetics400 [random weights]")  # fmt: skip
    add("--classes", type=str | None, default=None, metavar="PAIRS",
        help='with --init: its class for each label of another name, as "hug=hugging,kick=side kick"')  # fmt: skip
    add("--mmap", action="store_true", help="leave the features on disk instead of reading them into memory")
    add("--resume", action="store_true", help="go on from where a training to the same output was cut off")
    add("--quiet", action="store_true", help=QUIET_HELP)
    add_machine_options(parser)
    add_options(parser, OWN_VIDEOS, WHY_OWN_VIDEOS)
    return parser


def _add_data(add: Callable[..., Any]) -> None:
    add("--labels", type=str | None, default=None, metavar="FILE",
        help="CSV file with the columns video and label, a row for each label of a video")  # fmt: skip
    add("--recursive", action="store_true", help="with --labels: look into the folders of folders")
    add("--background", default="none", metavar="LABEL", help="label of videos that show nothing")
    add("--annotations", type=str | None, default=None, metavar="FILE",
        help="intervals of some videos, to measure mAP with")  # fmt: skip
    add("--features", type=str | None, default=None, metavar="FOLDER",
        help="feature folder to use, and to fill with what it lacks [OUTPUT.features]")  # fmt: skip
    add("--extractor", default="i3d", help="what makes features of frames; hasvideo extract --help names them")
    add("--weights", type=Path | None, default=None, metavar="FILE",
        help="weights of the extractor, instead of its own")  # fmt: skip


class _Start(NamedTuple):
    """A model to start from, and its head as far as it knows the new classes."""

    model: Model
    head: CamHead


@dataclass(frozen=True)
class _Trainer:
    """What the trainings of a run have in common."""

    store: FeatureStore
    videos: Mapping[str, LabelledVideo]
    recipe: Recipe
    background: str
    output: Path
    mmap: bool
    resume: bool
    progress: bool
    device: str
    head: CamHead | None = None

    def starting_from(self, start: _Start) -> _Trainer:
        """Return the same with a network and head to start from."""
        base, ours = start.model, self.recipe.network
        self.store.require(base.extractor, base.weights_sha256, base.grid, base.dim)
        network = replace(base.network.config, pooling=ours.pooling, topk_divisor=ours.topk_divisor)
        return replace(self, recipe=replace(self.recipe, network=network), head=start.head)

    def fit(self, chosen: Sequence[str], tested: Sequence[str]) -> tuple[Model, float | None]:
        """Train on some videos, and measure the accuracy on others."""
        from hasvideo.video.dataset import FeatureVideos, load_features
        from hasvideo.video.fitting import fit

        def labels(names: Sequence[str]) -> list[tuple[str, ...]]:
            return [self.videos[name].labels for name in names]

        classes = list(_counts(self.videos))
        validation = load_features(self.store, tested, self.mmap)
        held_out = FeatureVideos(validation, labels(tested), classes) if tested else None
        folder = self.output.with_suffix(".training") / ("held-out" if tested else "all")
        model, history = fit(
            load_features(self.store, chosen, self.mmap),
            labels(chosen),
            self.store.meta,
            self.recipe,
            classes=classes,
            background=self.background,
            init=self.head,
            name=str(self.output),
            folder=folder,
            validation=held_out,
            resume=self.resume,
            device=self.device,
            progress=self.progress,
        )
        plot_history(history, folder)
        return model, history[-1].get("val_accuracy")


def _find(
    videos: str | Path | Sequence[str | Path], labels: str | Path | None, features: str | Path | None, recursive: bool
) -> dict[str, LabelledVideo]:
    from hasvideo.datasets.folder import class_folders, labelled_features, labelled_files
    from hasvideo.features.store import META, FeatureStore

    given = [str(v) for v in ([videos] if isinstance(videos, str | Path) else videos)]
    if labels is not None and given:
        return labelled_files(given, Path(labels), recursive)
    if labels is not None and features is not None:
        stored = FeatureStore(Path(features)).videos() if (Path(features) / META).exists() else []
        return labelled_features(set(stored), Path(labels))
    if len(given) != 1:
        raise UsageError("give one folder that holds a folder a class, or videos and --labels labels.csv")
    return class_folders(Path(given[0]))


def _devices(extraction: Extraction) -> tuple[str, Extraction]:
    """Choose the device to train on; features are made on the same one, unless Ray's workers choose theirs."""
    on_ray, engine = split_engine(extraction.engine, extraction.ray_address)
    if on_ray:
        check_name(extraction.device)
        return resolve_device("cpu" if extraction.device == "cpu" else "auto"), extraction
    device = resolve_device(extraction.device, engine)
    return device, replace(extraction, device=device)


def _start_from(init: str, classes: Iterable[str], names: Mapping[str, str]) -> _Start:
    from hasvideo.video.fitting import head_for
    from hasvideo.video.model import load_model

    base = load_model(init)
    return _Start(base, head_for(base, list(classes), names))


def _counts(videos: Mapping[str, LabelledVideo]) -> dict[str, int]:
    """Count the videos of each class, the classes sorted."""
    return dict(sorted(Counter(label for video in videos.values() for label in video.labels).items()))


def _without(
    skipped: Mapping[str, str], videos: Mapping[str, LabelledVideo], background: str
) -> dict[str, LabelledVideo]:
    """Leave out the videos that could not be read.

    Raises:
        HasvideoError: they are too few.
    """
    from hasvideo.datasets.folder import check_classes

    rest = {name: video for name, video in videos.items() if name not in skipped}
    try:
        lost = sorted(set(_counts(videos)) - set(_counts(rest)))
        if lost:
            raise UsageError(f"none shows {', '.join(lost)}")
        check_classes(rest, background)
    except UsageError as error:
        raise HasvideoError(f"{len(skipped)} videos could not be read, and of the rest: {error}") from error
    return rest


def _evaluate(model: Model, store: FeatureStore, truth: Annotations, names: Sequence[str]) -> dict[str, Any] | None:
    """Measure mAP on those of the videos that have intervals."""
    from hasvideo.datasets.annotations import Annotations
    from hasvideo.metrics.detection import match
    from hasvideo.video.fitting import detect

    known = {name: replace(truth.videos[name], subset="held out") for name in names if name in truth.videos}
    scored = Annotations({name: video for name, video in known.items() if video.labels}, truth.source)
    if not scored.videos:
        warnings.warn(f"{truth.source} has no intervals of the videos to measure on: no mAP", stacklevel=3)
        return None
    strange = sorted(set(scored.labels) - set(model.classes))
    if strange:
        warnings.warn(f"{truth.source} has classes that no label has: {', '.join(strange)}", stacklevel=3)
    durations = {name: video.duration for name, video in scored.videos.items()}
    found = [d for name in scored.videos for d in detect(model, {name: store.load(name)}, durations)]
    return match(found, scored, "activitynet", TIOU).summary()


def _pairs(text: str | None) -> dict[str, str]:
    """Read ``"hug=hugging,wave=waving hand"`` as a dict."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    for label, sign, name in pairs:
        if not sign or not label.strip() or not name.strip():
            raise UsageError(f'--classes takes "label=its class,...", such as "hug=hugging"; got {text!r}')
    return {label.strip(): name.strip() for label, _, name in pairs}


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
