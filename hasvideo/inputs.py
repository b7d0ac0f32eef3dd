"""Which files a command line means, and the ids that name their outputs."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hasvideo.errors import UsageError
from hasvideo.image.read import IMAGE_SUFFIXES, WEBP_ADVICE, is_animated_webp
from hasvideo.video.live import StreamPath, as_source

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
OVERLAY_SUFFIX, MASK_SUFFIX, SEGMENTS_SUFFIX = ".cam.png", ".mask.png", ".segments.png"
"""How the pictures of localized images end: in a folder they are not taken for further images."""

_PICTURES = (OVERLAY_SUFFIX, MASK_SUFFIX, SEGMENTS_SUFFIX)


@dataclass(frozen=True)
class Medium:
    """Videos, or images, and what is looked for in them.

    Attributes:
        article, many: what one and several are called.
        suffixes: how their names end, in lower case.
        kind: what is localized in them, which is the kind of the checkpoints for it.
        models: where such models come from.
    """

    article: str
    many: str
    suffixes: frozenset[str]
    kind: str
    models: str

    @property
    def other(self) -> Medium:
        """Images for videos, videos for images."""
        return IMAGE if self is VIDEO else VIDEO

    def claims(self, path: Path) -> bool:
        """Whether a file's name makes it one of this medium and not of the other; a GIF may pass for a video."""
        suffix = path.suffix.lower()
        return suffix in self.suffixes and suffix != ".gif"

    def why_not(self, model: str) -> str:
        """What a model for this medium does, and what to take for the other."""
        other = self.other
        return f"model {model} localizes {self.kind} in {self.many}; for {other.many} give --model {other.models}"


VIDEO = Medium("a video", "videos", VIDEO_SUFFIXES, "actions", "kinetics400 or a checkpoint made by hasvideo train")
IMAGE = Medium("an image", "images", IMAGE_SUFFIXES, "objects", "a checkpoint made by hasvideo train_imagenet")
SEGMENTS = Medium("an image", "images", IMAGE_SUFFIXES, "segments", "a checkpoint made by hasvideo train_segmentation")


@dataclass(frozen=True)
class Inputs:
    """What a command line names.

    Attributes:
        files: those of the medium that was asked for, by id.
        missing: what was asked for but isn't there, or is of the other medium: (argument, reason).
        left_out: how many files of the other medium lie among those that folders and patterns gave.
    """

    files: dict[str, Path]
    missing: tuple[tuple[str, UsageError], ...]
    left_out: int = 0


def find_files(
    arguments: Sequence[str], medium: Medium, recursive: bool = False, hint: str = "", streams: bool = False
) -> Inputs:
    """The videos, or images, that files, folders and glob patterns name, each once, with unique ids.

    A folder stands for the files in it that end like the medium's, sorted by name; a file named by itself, or that
    matches a pattern, may end in anything but like the other medium's. An existing path is never taken for a pattern.

    Args:
        arguments: paths or patterns (``**`` matches folders of any depth).
        medium: :data:`VIDEO`, :data:`IMAGE` or :data:`SEGMENTS`.
        recursive: also look into the folders of a folder.
        hint: what to do about files of the other medium, for the message.
        streams: also take ``-`` and URLs, as :class:`hasvideo.video.live.StreamPath`, and so named pipes.
    """
    paths: dict[Path, Path] = {}
    missing: list[tuple[str, UsageError]] = []
    foreign: list[Path] = []
    left_out = 0
    for argument in arguments:
        try:
            source = as_source(argument) if streams else None
            if isinstance(source, StreamPath) and not medium.other.claims(source):
                paths[source] = source
                continue
            found, others = _expand(argument, medium, recursive)
        except UsageError as error:
            missing.append((argument, error))
        except OSError as error:
            missing.append((argument, UsageError(f"cannot look at {argument}: {error.strerror}")))
        else:
            for path in found:
                paths.setdefault(path.resolve(), path)
            if found:
                left_out += len(others)
            else:
                foreign += others
    if foreign:
        missing.append((str(foreign[0]), wrong_medium(foreign, medium, hint)))
    return Inputs(file_ids(paths.values()), tuple(missing), left_out)


def find_videos(arguments: Sequence[str], recursive: bool = False) -> Inputs:
    """The videos that files, folders and glob patterns name; see :func:`find_files`."""
    return find_files(arguments, VIDEO, recursive)


def wrong_medium(paths: Sequence[Path], medium: Medium, hint: str = "") -> UsageError:
    """The error that files are of the other medium than this one; ``hint`` says what to do about it."""
    if medium is VIDEO and is_animated_webp(paths[0]):
        return UsageError(f"{paths[0]} is an animated WebP, {WEBP_ADVICE}")
    more = f" and {len(paths) - 1} more are {medium.other.many}" if len(paths) > 1 else f" is {medium.other.article}"
    return UsageError(f"{paths[0]}{more}" + (f"; {hint}" if hint else f", not {medium.article}"))


def _expand(argument: str, medium: Medium, recursive: bool) -> tuple[list[Path], list[Path]]:
    """What an argument stands for: files of the medium, and files of the other."""
    path = Path(argument)
    if not argument:
        raise UsageError(f"an empty name was given as {medium.article}")
    if path.is_dir():
        found = _in_folder(path, medium, recursive)
        if not found:
            deeper = "" if recursive else " (--recursive looks into its folders)"
            endings = " ".join(sorted(medium.suffixes))
            raise UsageError(f"no {medium.many} in folder {argument}{deeper}; endings: {endings}")
    elif path.exists():
        found = [path]
    elif glob.has_magic(argument):
        found = sorted(Path(p) for p in glob.glob(argument, recursive=True) if Path(p).is_file())  # noqa: PTH207 (absolute patterns)
        if not found:
            raise UsageError(f"no file matches {argument}")
    else:
        raise UsageError(f"no such file or folder: {argument}")
    return [p for p in found if not medium.other.claims(p)], [p for p in found if medium.other.claims(p)]


def _in_folder(folder: Path, medium: Medium, recursive: bool) -> list[Path]:
    """Its files that end like the medium's or like the other's, sorted."""
    next(folder.iterdir(), None)  # an unreadable folder is not an empty one
    names = [p for p in (folder.rglob("*") if recursive else folder.glob("*")) if not p.name.startswith(".")]
    names = [p for p in names if p.suffix.lower() in medium.suffixes or medium.other.claims(p)]
    return sorted(p for p in names if not p.name.lower().endswith(_PICTURES) and p.is_file())


def file_ids(paths: Iterable[Path]) -> dict[str, Path]:
    """Name each path by its stem; where others share it, by its file name, its folders too, or last a number.

    Names that differ in case only count as the same, since some file systems take them so.

    >>> file_ids([Path("a/x.mp4"), Path("a/x.avi"), Path("b/y.mp4"), Path("c/y.mp4")])
    {'x.mp4': Path('a/x.mp4'), 'x.avi': Path('a/x.avi'), 'b__y.mp4': Path('b/y.mp4'), 'c__y.mp4': Path('c/y.mp4')}
    """
    remaining = list(paths)
    named: dict[str, Path] = {}
    rules: list[Callable[[Path], str]] = [
        lambda p: p.stem,
        lambda p: p.name,
        lambda p: "__".join(part for part in p.parts[-2:] if part != p.anchor),
        lambda p: "__".join(part for part in p.resolve().parts if part != p.anchor).strip("/\\"),
    ]
    for rule in rules:
        called = [(rule(p), p) for p in remaining]
        counts = Counter(name.casefold() for name, _ in called)
        taken = {name.casefold() for name in named}
        clear = {name: p for name, p in called if counts[name.casefold()] == 1 and name.casefold() not in taken}
        named |= clear
        remaining = [p for name, p in called if name not in clear]
    for number, path in enumerate(remaining, start=2):
        named[f"{path.name}-{number}"] = path
    order = {path: name for name, path in named.items()}
    return {order[p]: p for p in sorted(order, key=lambda p: order[p])}
