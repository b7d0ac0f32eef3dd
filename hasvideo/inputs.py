"""Which videos a command line means, and the ids that name their outputs."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hasvideo.errors import UsageError

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)


@dataclass(frozen=True)
class Inputs:
    """Videos by id, and what was asked for but isn't there: (argument, reason)."""

    videos: dict[str, Path]
    missing: tuple[tuple[str, UsageError], ...]


def find_videos(arguments: Sequence[str], recursive: bool = False) -> Inputs:
    """The videos that files, folders and glob patterns name, each once, with unique ids.

    A folder stands for the files in it that end like a video (:data:`VIDEO_SUFFIXES`), sorted by name; a file named
    by itself may end in anything. An existing path is never taken for a pattern.

    Args:
        arguments: paths or patterns (``**`` matches folders of any depth).
        recursive: also look into the folders of a folder.
    """
    paths: dict[Path, Path] = {}
    missing = []
    for argument in arguments:
        try:
            for path in _expand(argument, recursive):
                paths.setdefault(path.resolve(), path)
        except UsageError as error:
            missing.append((argument, error))
        except OSError as error:
            missing.append((argument, UsageError(f"cannot look at {argument}: {error.strerror}")))
    return Inputs(video_ids(paths.values()), tuple(missing))


def _expand(argument: str, recursive: bool) -> list[Path]:
    path = Path(argument)
    if not argument:
        raise UsageError("an empty name was given as a video")
    if path.is_dir():
        next(path.iterdir(), None)  # an unreadable folder is not an empty one
        found = [p for p in (path.rglob("*") if recursive else path.glob("*")) if _is_video(p)]
        if not found:
            deeper = "" if recursive else " (--recursive looks into its folders)"
            raise UsageError(f"no videos in folder {argument}{deeper}; endings: {' '.join(sorted(VIDEO_SUFFIXES))}")
        return sorted(found)
    if path.exists():
        return [path]
    if not glob.has_magic(argument):
        raise UsageError(f"no such file or folder: {argument}")
    found = [Path(p) for p in glob.glob(argument, recursive=True) if Path(p).is_file()]  # noqa: PTH207 (absolute patterns)
    if not found:
        raise UsageError(f"no file matches {argument}")
    return sorted(found)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def video_ids(paths: Iterable[Path]) -> dict[str, Path]:
    """Name each path by its stem; where others share it, by its file name, its folders too, or last a number.

    Names that differ in case only count as the same, since some file systems take them so.

    >>> video_ids([Path("a/x.mp4"), Path("a/x.avi"), Path("b/y.mp4"), Path("c/y.mp4")])
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
        counts = Counter(rule(p).casefold() for p in remaining)
        taken = {name.casefold() for name in named}
        clear = [p for p in remaining if counts[rule(p).casefold()] == 1 and rule(p).casefold() not in taken]
        named |= {rule(p): p for p in clear}
        remaining = [p for p in remaining if p not in clear]
    for number, path in enumerate(remaining, start=2):
        named[f"{path.name}-{number}"] = path
    order = {path: name for name, path in named.items()}
    return {order[p]: p for p in sorted(order, key=lambda p: order[p])}
