"""Find when which action happens in videos, and where which object is in images.

``python -m hasvideo.localize video.mp4`` or ``hasvideo.localize("video.mp4")``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hasvideo.choice import TOP_K, Choice, check_options
from hasvideo.commands import QUIET_HELP, CallableModule, CommandParser, add_machine_options, run
from hasvideo.errors import UsageError
from hasvideo.frames.live import as_source
from hasvideo.image.localizer import ImageLocalizer
from hasvideo.inputs import IMAGE, SEGMENTS, VIDEO, Medium, wrong_medium
from hasvideo.output.palette import ThemeName
from hasvideo.segmentation.localizer import Segmenter
from hasvideo.settings import SECONDS
from hasvideo.types import Detections, ImageDetections, Segmentation, ThresholdMode
from hasvideo.video.localizer import Localizer

if TYPE_CHECKING:
    from hasvideo.image.model import ImageModel
    from hasvideo.segmentation.model import SegmentationModel
    from hasvideo.video.model import Model

    AnyModel = str | Path | Model | ImageModel | SegmentationModel

AnyLocalizer = Localizer | ImageLocalizer | Segmenter
MEDIA: Mapping[str, Medium] = {medium.kind: medium for medium in (VIDEO, IMAGE, SEGMENTS)}


def localize(
    path: str | Path,
    *,
    model: AnyModel | AnyLocalizer = "kinetics400",
    classes: Sequence[str] = (),
    top_k: int = TOP_K,
    min_class_score: float | None = None,
    threshold: float | None = None,
    threshold_mode: ThresholdMode | None = None,
    merge_gap: float | None = None,
    min_duration: float | None = None,
    every_box: bool = False,
    start: float | None = None,
    end: float | None = None,
    decoder: str = "decord",
    engine: str = "auto",
    device: str = "auto",
    weights: str | Path | None = None,
) -> Detections | ImageDetections | Segmentation:
    """Localize actions in one video, or objects or segments in one image; the model decides which.

    >>> detections = hasvideo.localize("video.mp4", classes=["pull ups", "lunge"])
    >>> for i in detections.intervals:
    ...     print(f"{i.start:.2f} s - {i.end:.2f} s  {i.label}  {i.score:.2f}")
    >>> hasvideo.localize("http://camera/clip.ts").info.duration
    >>> for box in hasvideo.localize("image.jpg", model="birds.ckpt").boxes:
    ...     print(box.corners, box.label, box.score)

    Args:
        path: video or image file; or a video stream, which is read to its end: ``-`` for standard input, a named pipe,
            or a URL. :func:`hasvideo.video.stream.follow` gives intervals while a stream runs.
        model: ``kinetics400``, the path of a checkpoint made by ``hasvideo train`` (videos), ``train_imagenet`` or
            ``train_segmentation`` (images), or what :func:`load_localizer` made of it, which saves loading for every
            further file (decoder, engine and device are then its own).
        classes: names of the classes to localize, however improbable; empty: the most probable ones.
        top_k: at most so many of the most probable classes.
        min_class_score: probability that the file shows a class at all, 0..1, from which the class is localized; None:
            the model's, and for images 0.1, and the most probable class in any case.
        threshold: fraction, 0..1, of the CAM's maximum from which a time step, or pixel, is in; None: the model's.
        threshold_mode: ``max`` or ``minmax`` (fraction of the CAM's range); None: the model's.
        merge_gap: of videos: seconds; intervals of one class no further apart become one; None: the model's.
        min_duration: of videos: seconds; shorter intervals are dropped; None: the model's.
        every_box: of images: a box around every connected component of a class, not only around its largest.
        start: of videos: where to look from, seconds; None: the beginning.
        end: of videos: where to look to, seconds; None: the end.
        decoder: of videos: ``decord``, ``torchcodec`` or ``pyav``.
        engine: of videos: ``auto``, ``torch`` or ``openvino``.
        device: ``auto`` (a GPU that works, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; with
            ``engine="openvino"`` the CPU.
        weights: of videos: file of the extractor's weights, where the model was trained on features by such a file.

    Returns:
        Intervals, or boxes, by falling score, with the CAM of every class that was looked at. The score is the mean of
        the CAM in the interval or component relative to the CAM's maximum, times the class's probability: 0..1. Of a
        model for segments the class of every pixel; the options but ``device`` are not for it.

    Raises:
        UsageError: an unknown model, class, decoder, engine or device, a value out of range or not for this medium, or
            a video for a model of images, or the other way round.
        HasvideoError: the file cannot be read (videos: :class:`hasvideo.errors.DecodeError`), or weights cannot be had.
    """
    path, (medium, name) = as_source(path), _purpose(model)
    if medium.other.claims(path):
        raise wrong_medium([path], medium, medium.why_not(name))
    wishes: dict[str, Any] = {
        "top_k": top_k,
        "min_class_score": min_class_score,
        "threshold": threshold,
        "threshold_mode": threshold_mode,
        "merge_gap": merge_gap,
        "min_duration": min_duration,
        "every_box": every_box,
    }
    part = {"start": start, "end": end}
    machine: dict[str, Any] = {"decoder": decoder, "engine": engine, "weights": weights}
    check_options(wishes | part | machine | {"classes": classes or None}, medium, name)
    choice = Choice(classes=(classes,) if isinstance(classes, str) else tuple(classes), **wishes)
    localizer: Any = load_localizer(model, device=device, **machine)
    return localizer(path, choice, **(part if medium is VIDEO else {}))


def load_localizer(
    model: AnyModel | AnyLocalizer = "kinetics400",
    *,
    decoder: str = "decord",
    engine: str = "auto",
    device: str = "auto",
    weights: str | Path | None = None,
) -> AnyLocalizer:
    """Load a model, once for many files, as what its kind needs: ``load_localizer(model)(path, choice)``.

    Args:
        model: see :func:`localize`; a localizer stays as it is.
        decoder: of videos, see :class:`Localizer`.
        engine: of videos, see :class:`Localizer`.
        device: see :func:`localize`.
        weights: of videos, see :class:`Localizer`.

    Raises:
        UsageError: an unknown model, decoder, engine or device.
        HasvideoError: weights cannot be had, or the file is not a checkpoint.
    """
    if isinstance(model, AnyLocalizer):
        return model
    medium, _ = _purpose(model)
    if medium is VIDEO:
        return Localizer(model, decoder, engine, device, weights)  # type: ignore[arg-type]
    return (ImageLocalizer if medium is IMAGE else Segmenter)(model, device)  # type: ignore[arg-type]


def _purpose(model: AnyModel | AnyLocalizer) -> tuple[Medium, str]:
    """Tell what a model is for, and its name.

    Raises:
        UsageError: neither a built-in model nor a file.
        HasvideoError: the file is not a checkpoint, or is for none of them.
    """
    if model == "kinetics400":  # known without loading torch
        return VIDEO, "kinetics400"
    if isinstance(model, str | Path):
        from hasvideo.video.model import model_kind

        return MEDIA[model_kind(model)], str(model)
    loaded = model.model if isinstance(model, AnyLocalizer) else model
    return MEDIA[loaded.kind], loaded.name


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: parse, check, localize in one file after the other."""
    options = _parser().parse_args(argv)
    if options.list_classes:
        from hasvideo.video.model import class_names

        print("\n".join(class_names(options.model)))
        return 0
    medium, _ = _purpose(options.model)
    from hasvideo.batch import Batch, Follow, ImageBatch, SegmentBatch, VideoBatch
    from hasvideo.features.make import split_engine

    if options.look_back is not None and not options.follow:
        raise UsageError("--look-back is for --follow")
    on_ray = medium is VIDEO and split_engine(options.engine, options.ray_address)[0]
    if options.follow:
        if medium is not VIDEO:
            raise UsageError(f"--follow is for videos; {medium.why_not(options.model)}")
        if on_ray:
            raise UsageError("--follow reads one stream, in this process: not for --engine ray")
        return Follow(options).run()
    if on_ray:
        from hasvideo.batch_on_ray import RayVideoBatch

        return RayVideoBatch(options).run()
    batches: dict[str, type[Batch[Any]]] = {
        batch.medium.kind: batch for batch in (VideoBatch, ImageBatch, SegmentBatch)
    }
    return batches[medium.kind](options).run()


def _parser() -> CommandParser:
    parser = CommandParser(
        "localize",
        "Find when actions happen in videos, or where objects or segments are in images.",
        examples=[
            "hasvideo localize video.mp4",
            "hasvideo localize videos/ --recursive -f csv html -o results",
            "hasvideo localize images/ --model objects.ckpt -f png -o pictures",
        ],
    )
    parser.add_argument("inputs", nargs="*",
        help="videos or images, folders of them, patterns; of streams: - for standard "
        "input, a named pipe, or a URL (rtsp://, http://, ...); -- goes before names with a leading dash")  # fmt: skip
    _add_what_to_find(parser.add_argument_group("what to find").add_argument)
    _add_output(parser.add_argument_group("output").add_argument)
    _add_for_videos(parser.add_argument_group("videos").add_argument)
    add = parser.add_argument_group("images").add_argument
    add("--every-box", action="store_true", help="a box around every part of a CAM [around the largest part]")
    add("--ground-truth", type=Path | None, default=None, metavar="PATH",
        help="known boxes to draw: an ILSVRC folder, one of XML files, or LOC_val_solution.csv")  # fmt: skip
    add = parser.add_argument_group("streams").add_argument
    add("--follow", action="store_true",
        help="print every interval of one video or stream as soon as it is over, as a line of JSON")  # fmt: skip
    add("--look-back", type=float, metavar=SECONDS,
        help="with --follow: how much of the past chooses classes and scales their maps [30]")  # fmt: skip
    add_machine_options(parser)
    return parser


def _add_what_to_find(add: Callable[..., Any]) -> None:
    add("--model", default="kinetics400", help="kinetics400, 400 actions; or a checkpoint made by hasvideo train, "
        "train_imagenet or train_segmentation")  # fmt: skip
    add("--classes", type=str | list[str] | None, default=None, metavar="NAMES",
        help='these classes and no others, as "pull ups,lunge" [the most probable ones]')  # fmt: skip
    add("--list-classes", action="store_true", help="print the model's classes and stop")
    add("--top-k", type=int, default=TOP_K, help="at most so many classes a file, the most probable ones")
    add("--min-class-score", type=float, help="probability, 0 to 1, from which a class is looked for [the model's; of "
        "images 0.1, and the most probable class always]")  # fmt: skip
    add("--threshold", type=float,
        help="fraction, 0 to 1, of a CAM's maximum from which a moment or pixel is in [the model's]")  # fmt: skip
    add("--threshold-mode", choices=get_args(ThresholdMode),
        help="fraction of the maximum, or of the range from minimum to maximum [the model's]")  # fmt: skip
    add("--recursive", action="store_true", help="look into the folders of folders")


def _add_output(add: Callable[..., Any]) -> None:
    from hasvideo.output.writers import FORMATS, IMAGE_FORMATS, SEGMENT_FORMATS

    add("-f", "--format", nargs="+", default=[],
        help=f"files to write: {' '.join(FORMATS)} (of images: {' '.join(IMAGE_FORMATS)}; of segments: "
        f"{' '.join(SEGMENT_FORMATS)}), or all")  # fmt: skip
    add("-o", "--output", type=Path | None, default=None, metavar="FOLDER",
        help="folder of those files [the current one]")  # fmt: skip
    add("--results", type=Path | None, default=None, metavar="FILE",
        help="also write all that is found to this file: .json, .csv, .parquet or .xlsx, as its suffix says (of images "
        "also .coco.json)")  # fmt: skip
    add("--theme", choices=get_args(ThemeName), default="light", help="colours of png, svg and pdf")
    add("--skip-existing", action="store_true", help="skip inputs whose output files are all there")
    add("--quiet", action="store_true", help=QUIET_HELP)


def _add_for_videos(add: Callable[..., Any]) -> None:
    add("--start", type=float, metavar=SECONDS, help="look from here on [the video's start]")
    add("--end", type=float, metavar=SECONDS, help="look up to here [the video's end]")
    add("--merge-gap", type=float, metavar=SECONDS,
        help="join intervals of a class that are no further apart [the model's]")  # fmt: skip
    add("--min-duration", type=float, metavar=SECONDS, help="drop shorter intervals [the model's]")
    add("--weights", type=Path | None, default=None, metavar="FILE",
        help="weights of the extractor, if the model's features were made with such a file")  # fmt: skip
    add("--embed-video", action="store_true", help="put the video into the HTML page [a link to it]")
    add("--labelstudio-prefix", type=str | None, default=None, metavar="URL",
        help="where Label Studio finds the videos, as https://example.org/videos/ [local files]")  # fmt: skip


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
