"""Make features of many videos, once: ``python -m hasvideo.extract VIDEOS -o FEATURES --extractor NAME``.

Run it again, after whatever ended it: what is finished stays. Run it several times at once, on one machine or on many
that share the folder: the processes divide the videos among themselves.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hasvideo.commands import QUIET_HELP, CallableModule, CommandParser, add_machine_options, run
from hasvideo.errors import UsageError
from hasvideo.features.fill import Filled, fill
from hasvideo.features.make import Extraction
from hasvideo.features.manifest import FAILED
from hasvideo.inputs import find_videos


def extract(
    videos: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    extraction: Extraction | None = None,
    recursive: bool = False,
    shard: str = "1/1",
    workers: int | None = None,
    verify: bool = False,
    progress: bool = True,
) -> Filled:
    """Make the features that a folder lacks.

    >>> filled = hasvideo.extract("videos/", "features", extraction=Extraction("torchvision/r3d_18"))
    >>> filled.store.load("some_video").shape

    Args:
        videos: files, folders or patterns.
        output: feature folder.
        extraction: extractor, decoder, engine, device, weights and dtype.
        recursive: look into the folders of folders.
        shard: ``K/N`` works on the K-th of N parts of the videos, 1 <= K <= N. A video's part depends on its id and N
            alone.
        workers: processes; see :func:`hasvideo.features.fill.fill`.
        verify: also compare the hashes of the features that are there.
        progress: show a bar on standard error.

    Returns:
        What was made, kept and failed. An input that is not there counts as failed.

    Raises:
        UsageError: no videos, or a wrong option.
        HasvideoError: the folder holds other features or cannot be written, or weights cannot be had.
    """
    given = [str(v) for v in ([videos] if isinstance(videos, str | Path) else videos)]
    part, parts = _parse_shard(shard)
    inputs = find_videos(given, recursive)
    if not inputs.files:
        raise inputs.missing[0][1] if inputs.missing else UsageError("no videos given")
    chosen = {video: path for video, path in inputs.files.items() if shard_of(video, parts) == part}
    filled = fill(Path(output), chosen, extraction, workers=workers, verify=verify, progress=progress)
    filled.failed.update({argument: str(error) for argument, error in inputs.missing})
    return filled


def shard_of(video: str, shards: int) -> int:
    """Say which of ``shards`` parts, from 1 on, a video belongs to: by its id alone, whatever else there is."""
    return int.from_bytes(hashlib.sha256(video.encode()).digest()[:8]) % shards + 1


def render(filled: Filled) -> str:
    """Say what came of it, as plain text."""
    failed = f", {len(filled.failed)} failed ({filled.store.folder / FAILED} says why)" if filled.failed else ""
    return f"{filled.store.folder}: features of {len(filled.made)} videos made, {filled.kept} were there{failed}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(argv)
    filled = extract(
        options.videos,
        options.output,
        extraction=Extraction(
            **{name: options[name] for name in ("extractor", "decoder", "engine", "device", "weights", "dtype")},
            ray_address=options.ray_address,
        ),
        progress=not options.quiet,
        **{name: options[name] for name in ("recursive", "shard", "workers", "verify")},
    )
    for reason in filled.failed.values():
        print(f"hasvideo: error: {reason}", file=sys.stderr)
    sys.stdout.write(render(filled))
    return 1 if filled.failed else 0


def _parser() -> CommandParser:
    parser = CommandParser("extract", "Make features of many videos, once, by any number of processes.", examples=[
        "hasvideo extract videos/ --recursive -o features",
        "hasvideo extract videos/ -o features --extractor torchvision/r3d_18 --workers 4",
        "hasvideo extract videos/ -o features --shard 3/16",
    ])  # fmt: skip
    add = parser.add_argument
    add("videos", nargs="*", help="files, folders of videos, patterns")
    add(
        "-o",
        "--output",
        type=Path,
        default=Path("features"),
        metavar="FOLDER",
        help="feature folder to make or to fill",
    )
    add("--extractor", default="i3d", help="i3d, torchvision/NAME, pytorchvideo/NAME, efficientnet_lite0, c3d, "
        "c3d/fc7, an installed package's, or package.module:Class")  # fmt: skip
    add("--weights", type=Path | None, default=None, metavar="FILE",
        help="weights of the extractor, instead of its own")  # fmt: skip
    add("--dtype", default="float16", help="float16 or float32")
    add("--recursive", action="store_true", help="look into the folders of folders")
    add("--shard", default="1/1", metavar="K/N", help="only the K-th of N parts of the videos, K from 1 on")
    add("--workers", type=int | None, default=None,
        help="processes, each with a network of its own [1; by Ray one a machine, or one a GPU]")  # fmt: skip
    add("--verify", action="store_true", help="make features anew whose hash is not the manifest's")
    add("--quiet", action="store_true", help=QUIET_HELP)
    add_machine_options(parser)
    return parser


def _parse_shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"shard is K/N with 1 <= K <= N, such as 3/16; got {text!r}")
    return int(found[1]), int(found[2])


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
