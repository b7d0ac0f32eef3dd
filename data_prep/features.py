"""Convert ready-made features, in the layouts that exist, to the canonical feature folder (``docs/formats.md``).

    python -m data_prep.features streams features/ -o i3d/ --annotations annotations.json
    python -m data_prep.features joint Thumos14reduced-I3D-JOINTFeatures.npy -o i3d/ --annotations annotations.json
    python -m data_prep.features flat i3d_features/ -o i3d-stride4/ --annotations annotations.json
    python -m data_prep.features pairs output/i3d/ -o i3d-64/ --fps 25
    python -m data_prep.features pickles tsp/ -o tsp/ --extractor tsp --fps 15 --window 16 --stride 1

``streams``: ``{train,test}/{rgb,flow}/<video>.npy`` of BaS-Net and CoLA, or any folder of an ``rgb`` and a ``flow``
folder. ``joint``: W-TALC's object array in the order of ``videoname.npy``. ``flat``: ``<video>.npy``, by default
ActionFormer's at stride 4. ``pairs``: ``<video>_rgb.npy`` and ``<video>_flow.npy`` of video_features. ``pickles``:
``.pkl`` files, each an array of one video or a dict of arrays by video, as TSP's and SlowFast's.

The length of each sequence is checked against the video's duration, where ``--annotations`` or ``--meta`` knows it.
Features at the video's own frame rate (``flat``) are resampled in time to the common one where it differs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.conversion import META_COLUMNS, add_meta
from data_prep.pickles import load_npy, load_pickle, stream_object_array
from hasvideo.commands import CommandParser, Namespace, run
from hasvideo.datasets.annotations import AnnotatedVideo, Annotations, load_annotations
from hasvideo.datasets.names import same_videos, video_ids
from hasvideo.datasets.table import read_table
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features.store import FeatureMeta, FeatureStore, looks_like
from hasvideo.types import TimeGrid

Sequences = Iterator[tuple[str, np.ndarray]]

STREAMS = ("rgb", "flow")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(argv)
    layout = LAYOUTS[options.layout]
    grid = _grid(options, layout)
    meta = FeatureMeta(options.extractor, "", grid, 1, options.dtype)
    count = convert(layout.read(options), Path(options.output), meta, _known_videos(options), options.layout == "flat")
    print(f"{options.output}: {count} videos")


def convert(
    sequences: Sequences, output: Path, meta: FeatureMeta, known: dict[str, AnnotatedVideo], own_rate: bool = False
) -> int:
    """Write sequences into a canonical feature folder, and check each against what is known of its video.

    Args:
        sequences: pairs of a video and its features ``(T, D)``.
        output: the folder.
        meta: what the features are; their D is taken from the first sequence.
        known: durations (seconds) and frame rates by video.
        own_rate: whether features follow the frame rate of their video; if that is not the grid's, they are resampled.

    Returns:
        Number of videos.

    Raises:
        HasvideoError: there are no features, they are not ``(T, D)``, D differs between videos, numbers are not finite
            in the folder's dtype, most lengths disagree with the durations, or the folder holds other features or
            cannot be written.
    """
    store: FeatureStore | None = None
    wrong = count = 0
    for video, array in _first_compared(sequences):
        about = known.get(video)
        rate = about.fps if own_rate and about is not None else None
        _check_shape(video, array.shape)
        if about and about.duration:
            _check_length(video, array.shape, about.duration, replace(meta.grid, fps=rate or meta.grid.fps))
        if rate is not None:
            array = resample(array, meta.grid, rate)
        if store is None:
            store = FeatureStore.create(output, replace(meta, dim=array.shape[1]))
        complaint = disagreement(len(array), about.duration, meta.grid) if about and about.duration else ""
        if complaint:
            wrong += 1
            warnings.warn(f"{video}: {complaint}", stacklevel=2)
        store.save(video, array)
        count += 1
    if not count:
        raise HasvideoError("no features found in the input; see python -m data_prep.features --help")
    if 2 * wrong > count:
        grid = f"fps {meta.grid.fps:g}, window {meta.grid.window}, stride {meta.grid.stride}"
        raise HasvideoError(
            f"{output}: {wrong} of {count} videos disagree with their durations; is this right: {grid}?"
        )
    return count


def _first_compared(sequences: Sequences) -> Sequences:
    """Yield the same sequences, after checking by the first two that shapes are (T, D): they share D, not T.

    Raises:
        HasvideoError: they share the first number only.
    """
    first = list(islice(sequences, 2))
    shapes = [array.shape for _, array in first if array.ndim == 2]
    if len(shapes) == 2 and shapes[0][0] == shapes[1][0] and shapes[0][1] != shapes[1][1]:
        names, guess = " and ".join(video for video, _ in first), looks_like(shapes[0], shapes[0][0])
        raise HasvideoError(f"{names} have shapes {shapes[0]} and {shapes[1]}{guess}")
    while first:
        yield first.pop(0)
    yield from sequences


def _check_shape(what: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise HasvideoError(f"{what} has shape {shape}, features have (T, D){looks_like(shape)}")


def _check_length(video: str, shape: tuple[int, ...], duration: float, grid: TimeGrid) -> None:
    if disagreement(shape[0], duration, grid) and not disagreement(shape[1], duration, grid):
        length = f"{duration:g} s make about {shape[1]} features"
        raise HasvideoError(f"{video} has shape {shape}, and {length}{looks_like(shape, shape[0])}")


def disagreement(length: int, duration: float, grid: TimeGrid) -> str:
    """Say how far the number of features is from what a video of ``duration`` seconds gives; empty if it fits.

    Tools differ in whether windows may reach beyond the end, and durations are rounded. So a number fits from one fewer
    than there are whole windows to one more than there are strides.
    """
    frames = duration * grid.fps
    least = max(1, math.floor((frames - grid.window) / grid.stride))
    most = math.ceil(frames / grid.stride) + 1
    if least <= length <= most:
        return ""
    off = length - (most if length > most else least)
    return f"{length} features, but {duration:g} s make {least} to {most} ({off:+d}, {off * grid.step:+.1f} s)"


def resample(array: np.ndarray, grid: TimeGrid, fps: float) -> np.ndarray:
    """Interpolate features in time, to the frame rate of the grid.

    Args:
        array: features ``(T, D)``.
        grid: where the features shall lie.
        fps: frames per second at which they were made.

    Returns:
        Float32 of another T; the same array where the rates are no more than 0.1 % apart.
    """
    if abs(fps - grid.fps) / grid.fps < 1e-3:  # 29.97 for 30: less than one feature in a thousand
        return array
    own = TimeGrid(fps, grid.window, grid.stride, grid.offset)
    end = own.centers(len(array))[-1]
    length = max(1, int((end * grid.fps - grid.offset - grid.window / 2) / grid.stride) + 1)
    place = np.interp(grid.centers(length), own.centers(len(array)), np.arange(len(array)))
    before = np.floor(place).astype(int)
    after = np.minimum(before + 1, len(array) - 1)
    share = (place - before)[:, None]
    return np.asarray(array[before] * (1 - share) + array[after] * share, dtype=np.float32)


def read_streams(options: Namespace) -> Sequences:
    """Read ``.../rgb/<video>.npy`` beside ``.../flow/<video>.npy``, in folders of any depth."""
    first = options.streams[0]
    for folder in sorted(path for path in Path(options.input).rglob(first) if path.is_dir()):
        for path in sorted(folder.glob("*.npy")):
            yield path.stem, _join([folder.parent / stream / path.name for stream in options.streams])


def read_pairs(options: Namespace) -> Sequences:
    """Read ``<video>_rgb.npy`` beside ``<video>_flow.npy``, in folders of any depth."""
    ending = f"_{options.streams[0]}.npy"
    for path in sorted(Path(options.input).rglob(f"*{ending}")):
        video = path.name.removesuffix(ending)
        yield video, _join([path.with_name(f"{video}_{stream}.npy") for stream in options.streams])


def read_flat(options: Namespace) -> Sequences:
    """Read ``<video>.npy``."""
    for path in sorted(Path(options.input).glob("*.npy")):
        yield path.stem, load_npy(path)


def read_joint(options: Namespace) -> Sequences:
    """Read one object array of arrays, one after the other, and their names, which are in a file of their own.

    Raises:
        HasvideoError: there are not as many names as arrays, or a file is damaged.
    """
    path = Path(options.input)
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in load_npy(_names_file(options)).ravel()]
    count = 0
    for array in stream_object_array(path):
        if count < len(names):
            yield names[count], array
        count += 1
    if count != len(names):
        raise HasvideoError(f"{path} holds {count} arrays, {_names_file(options)} {len(names)} names")


def read_pickles(options: Namespace) -> Sequences:
    """Read ``.pkl`` files: an array of the video that the file is named after, or a dict of arrays by video.

    Raises:
        HasvideoError: a file is damaged, or holds anything else.
    """
    path = Path(options.input)
    for file in sorted(path.glob("*.pkl")) if path.is_dir() else [path]:
        content = load_pickle(file)
        arrays = content if isinstance(content, dict) else {file.stem: content}
        for video, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise HasvideoError(f"{file}: {video!r} is no array but {type(array).__name__}")
            yield str(video), array


@dataclass(frozen=True)
class Layout:
    """How to read a layout, and the usual grid of its features; the user has to give what is None."""

    read: Callable[[Namespace], Sequences]
    fps: float | None = None
    window: int | None = None
    stride: int | None = None


LAYOUTS = {
    "streams": Layout(read_streams, 25.0, 16, 16),  # BaS-Net's and CoLA's I3D
    "joint": Layout(read_joint, 25.0, 16, 16),  # W-TALC's I3D
    "flat": Layout(read_flat, 30.0, 16, 4),  # ActionFormer's I3D on THUMOS 2014
    "pairs": Layout(read_pairs, None, 64, 64),  # video_features' I3D, by default
    "pickles": Layout(read_pickles),
}


def _parser() -> CommandParser:
    parser = CommandParser("features", "Convert ready-made features to a canonical feature folder.")
    parser.prog = "python -m data_prep.features"
    add = parser.add_argument
    add("layout", choices=tuple(LAYOUTS), help="streams: {train,test}/{rgb,flow}/VIDEO.npy, as of BaS-Net "
        "and CoLA; joint: W-TALC's one object array; flat: VIDEO.npy, as ActionFormer's; pairs: VIDEO_rgb.npy and "
        "VIDEO_flow.npy, as of video_features; pickles: .pkl files, as TSP's and SlowFast's")  # fmt: skip
    add("input", help="folder or file")
    add("-o", "--output", required=True, metavar="FOLDER", help="feature folder to write")
    add("--extractor", default="i3d", help="name of what made the features")
    add("--fps", type=float | None, default=None, help="frames per second that it was fed [the layout's]")
    add("--window", type=int | None, default=None, help="frames that a feature sees [the layout's]")
    add("--stride", type=int | None, default=None, help="frames from one feature to the next [the layout's]")
    add("--offset", type=int, default=0, help="first frame that feature 0 sees")
    add(
        "--streams", nargs="+", choices=STREAMS, default=list(STREAMS), help="which to take, side by side in this order"
    )
    add("--names", type=str | None, default=None, metavar="FILE", help="joint: videoname.npy [beside the input]")
    add("--dtype", choices=("float16", "float32"), default="float16", help="of the written arrays")
    add(
        "--annotations",
        type=str | None,
        default=None,
        metavar="FILE",
        help="canonical annotations with durations, to check against",
    )
    add(
        "--meta",
        type=str | None,
        default=None,
        metavar="FILE",
        help="CSV with video, duration_s and perhaps fps, to check against",
    )
    return parser


def _grid(options: Namespace, layout: Layout) -> TimeGrid:
    values: dict[str, Any] = {}
    for name in ("fps", "window", "stride"):
        values[name] = getattr(layout, name) if options[name] is None else options[name]
        if not values[name] or values[name] <= 0:
            raise UsageError(
                f"layout {options.layout} needs --{name}, a positive number: it cannot be told from the files"
            )
    return TimeGrid(**values, offset=options.offset)


def _known_videos(options: Namespace) -> dict[str, AnnotatedVideo]:
    known = dict(load_annotations(options.annotations).videos) if options.annotations else {}
    if options.meta:
        table = read_table(options.meta, ("video",), META_COLUMNS)
        names = same_videos((row["video"] for row in table), known, options.meta).values()
        known = {name: AnnotatedVideo("", ()) for name in names} | known
        known = dict(add_meta(Annotations(known), Path(options.meta)).videos)
    ids = video_ids(known, f"{options.annotations or options.meta}")
    return {ids[name]: video for name, video in known.items()}


def _names_file(options: Namespace) -> Path:
    if options.names:
        return Path(options.names)
    folder = Path(options.input).parent
    places = [folder, folder / "Thumos14reduced-Annotations"]
    for place in places:
        if (place / "videoname.npy").is_file():
            return place / "videoname.npy"
    raise UsageError(f"no videoname.npy in {' or '.join(map(str, places))}; say where with --names")


def _join(paths: Sequence[Path]) -> np.ndarray:
    arrays = [load_npy(path) for path in paths]
    for path, array in zip(paths, arrays, strict=True):
        _check_shape(str(path), array.shape)
    lengths = [len(array) for array in arrays]
    if max(lengths) - min(lengths) > 1:
        found = ", ".join(f"{path}: {length}" for path, length in zip(paths, lengths, strict=True))
        raise HasvideoError(f"streams of one video have different numbers of features: {found}")
    # Optical flow is computed between two frames, so its sequence may be one feature shorter.
    return np.concatenate([array[: min(lengths)] for array in arrays], axis=1)


if __name__ == "__main__":
    run(main)
