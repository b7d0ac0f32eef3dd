"""Which files a command line means, and the ids that name their outputs."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hasvideo.errors import UsageError
from hasvideo.frames.images import (
    IMAGE_SUFFIXES,
    MASK_SUFFIX,
    OVERLAY_SUFFIX,
    SEGMENTS_SUFFIX,
    WEBP_ADVICE,
    is_animated_webp,
)
from hasvideo.frames.live import StreamPath, as_source

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)

_PICTURES = (OVERLAY_SUFFIX, MASK_SUFFIX, SEGMENTS_SUFFIX)


@dataclass(frozen=True)
class Medium:
    """Videos, or images, and what is looked for in them.

    Attributes:
        article: what one is called.
        many: what several are called.
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
        """Tell whether a file's name makes it one of this medium and not of the other; a GIF may pass for a video."""
        suffix = path.suffix.lower()
        return suffix in self.suffixes and suffix != ".gif"

    def why_not(self, model: str) -> str:
        """Say what a model for this medium does, and which model to take for the other."""
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
        missing: what was asked for but isn't there, links that lead nowhere, or what is of the other medium:
            (argument or file, reason).
        left_out: how many files of the other medium lie among those that folders and patterns gave.
    """

    files: dict[str, Path]
    missing: tuple[tuple[str, UsageError], ...]
    left_out: int = 0


def find_files(
    arguments: Sequence[str], medium: Medium, recursive: bool = False, hint: str = "", streams: bool = False
) -> Inputs:
    """Find the videos, or images, that files, folders and glob patterns name: each once, with a unique id.

    A folder stands for the files in it that end like the medium's, sorted by name; a file named by itself, or that
    matches a pattern, may end in anything but like the other medium's. An existing path is never taken for a pattern.

    A link to a file is a file of its own, under its own name. With ``recursive``, and for ``**``, links to folders are
    followed out of a folder, but not into it again.

    Args:
        arguments: paths or patterns (``**`` matches folders of any depth).
        medium: :data:`VIDEO`, :data:`IMAGE` or :data:`SEGMENTS`.
        recursive: also look into the folders of a folder.
        hint: what to do about files of the other medium, for the message.
        streams: also take ``-`` and URLs, as :class:`hasvideo.frames.live.StreamPath`, and so named pipes.
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
            there = _expand(argument, medium, recursive)
        except UsageError as error:
            missing.append((argument, error))
        except OSError as error:
            missing.append((argument, UsageError(f"cannot look at {argument}: {error.strerror}")))
        else:
            others = [p for p in there if medium.other.claims(p)]
            found = [p for p in there if not medium.other.claims(p)]
            for path in found:
                if path.exists():
                    paths.setdefault(_as_given(path), path)
                else:
                    missing.append((str(path), _leads_nowhere(path)))
            if found:
                left_out += len(others)
            else:
                foreign += others
    if foreign:
        missing.append((str(foreign[0]), wrong_medium(foreign, medium, hint)))
    return Inputs(file_ids(paths.values()), tuple(missing), left_out)


def find_videos(arguments: Sequence[str], recursive: bool = False) -> Inputs:
    """Find the videos that files, folders and glob patterns name; see :func:`find_files`."""
    return find_files(arguments, VIDEO, recursive)


def wrong_medium(paths: Sequence[Path], medium: Medium, hint: str = "") -> UsageError:
    """Make the error that files are not of a medium but of the other one.

    Args:
        paths: the files.
        medium: the one that was wanted.
        hint: what to do about it.
    """
    if medium is VIDEO and is_animated_webp(paths[0]):
        return UsageError(f"{paths[0]} is an animated WebP, {WEBP_ADVICE}")
    more = f" and {len(paths) - 1} more are {medium.other.many}" if len(paths) > 1 else f" is {medium.other.article}"
    return UsageError(f"{paths[0]}{more}" + (f"; {hint}" if hint else f", not {medium.article}"))


def _expand(argument: str, medium: Medium, recursive: bool) -> list[Path]:
    """List what an argument stands for: files of either medium, and links to files that are not there."""
    path = Path(argument)
    if not argument:
        raise UsageError(f"an empty name was given as {medium.article}")
    if path.is_dir():
        found = _in_folder(path, medium, recursive)
        if not found:
            deeper = "" if recursive else " (--recursive looks into its folders)"
            endings = " ".join(sorted(medium.suffixes))
            raise UsageError(f"no {medium.many} in folder {argument}{deeper}; endings: {endings}")
    elif path.exists() or path.is_symlink():
        found = [path]
    elif glob.has_magic(argument):
        found = sorted({p for p in _matches(path) if _is_file(p)})
        if not found:
            raise UsageError(f"no file matches {argument}")
    else:
        raise UsageError(f"no such file or folder: {argument}")
    return found


def _in_folder(folder: Path, medium: Medium, recursive: bool) -> list[Path]:
    """List a folder's files that end like the medium's or like the other's, sorted."""
    next(folder.iterdir(), None)  # an unreadable folder is not an empty one
    folders = _folders(folder) if recursive else [folder]
    names = [p for inner in folders for p in inner.glob("*") if not p.name.startswith(".")]
    names = [p for p in names if p.suffix.lower() in medium.suffixes or medium.other.claims(p)]
    return sorted(p for p in names if not p.name.lower().endswith(_PICTURES) and _is_file(p))


def _matches(pattern: Path) -> Iterator[Path]:
    """Yield what a pattern matches; by ``glob`` alone, links that go round would make endlessly many paths."""
    if "**" not in pattern.parts:
        yield from map(Path, glob.glob(str(pattern)))  # noqa: PTH207 (absolute patterns)
        return
    at = pattern.parts.index("**")
    rest = pattern.parts[at + 1 :] or ("*",)
    for start in glob.glob(str(Path(*pattern.parts[:at]))):  # noqa: PTH207
        for folder in _folders(Path(start)):
            yield from _matches(Path(glob.escape(str(folder)), *rest))


def _folders(folder: Path, way: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield a folder and those in it at any depth, except hidden ones and links that lead back to where they lie."""
    way = (*way, folder.resolve())
    yield folder
    for inner in folder.glob("*/"):
        if inner.name.startswith(".") or not inner.is_dir():
            continue
        if not inner.is_symlink() or not any(_nested(inner.resolve(), place) for place in way):
            yield from _folders(inner, way)


def _nested(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _is_file(path: Path) -> bool:
    """Tell whether it is a file, or a link that leads nowhere and so may be meant as one."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _leads_nowhere(link: Path) -> UsageError:
    return UsageError(f"{link} is a link to {link.readlink()}, which is not there")


def _as_given(path: Path) -> Path:
    """Return a path from the root on without ``..``; links in what follows the last ``..`` stay links."""
    parts = path.absolute().parts
    after = max((number for number, part in enumerate(parts, start=1) if part == ".."), default=0)
    return Path(*parts[:after]).resolve().joinpath(*parts[after:])


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
        lambda p: "__".join(part for part in _as_given(p).parts if part != p.anchor).strip("/\\"),
    ]
    for rule in rules:
        called = [(rule(p), p) for p in remaining]
        counts = Counter(name.casefold() for name, _ in called)
        taken = {name.casefold() for name in named}
        clear = {name: p for name, p in called if counts[name.casefold()] == 1 and name.casefold() not in taken}
        named |= clear
        remaining = [p for name, p in called if name not in clear]
    for number, path in enumerate(sorted(remaining), start=2):
        named[f"{path.name}-{number}"] = path
    order = {path: name for name, path in named.items()}
    return {order[p]: p for p in sorted(order, key=lambda p: order[p])}
