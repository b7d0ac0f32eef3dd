"""Match names of videos: with or without folder and file ending, a name means the same video in every file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hasvideo.errors import HasvideoError
from hasvideo.inputs import VIDEO_SUFFIXES

SOUND_SUFFIXES = frozenset({".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma"})
# Files with these endings are not taken from a folder, but may be given by name.
_MORE = frozenset({".3g2", ".asf", ".divx", ".dv", ".f4v", ".gif", ".m2v", ".mjpeg", ".ogm", ".rm", ".webp", ".y4m"})
_MEDIA = VIDEO_SUFFIXES | SOUND_SUFFIXES | _MORE


class VideoName(NamedTuple):
    """The parts of a name; folder and ending are empty if the name does not have them.

    Attributes:
        folder: as it is written, with ``/``.
        stem: the file's name without ending: the id of its video.
        ending: in lower case, with its dot. Only endings of media files are one: "trial.1" has none.
    """

    folder: str
    stem: str
    ending: str

    @classmethod
    def of(cls, name: str) -> VideoName:
        """Split a name into its parts."""
        folder, _, base = name.replace("\\", "/").rpartition("/")
        stem, dot, ending = base.rpartition(".")
        ending = dot + ending.lower()
        if not stem or ending not in _MEDIA:
            stem, ending = base, ""
        return cls(f"{folder}/".removeprefix("./").rstrip("/"), stem, ending)

    def may_be(self, other: VideoName) -> bool:
        """Check whether two names can mean one video: the parts that both have are equal."""
        return self.stem == other.stem and all(a == b or not a or not b for a, b in zip(self, other, strict=True))


def video_ids(names: Iterable[str], source: str) -> dict[str, str]:
    """Give each name that a file uses the id of its video.

    That is the name without folder and media ending, unless the file names several videos of that id: these keep
    their names whole.

    >>> video_ids(["a", "a.mp4", "trial.1", "b.mp4", "b.avi"], "labels.csv")
    {'a': 'a', 'a.mp4': 'a', 'trial.1': 'trial.1', 'b.mp4': 'b.mp4', 'b.avi': 'b.avi'}

    Args:
        names: as they are written.
        source: the file that uses them, for messages.

    Raises:
        HasvideoError: a name fits two videos, as "b" would above.
    """
    groups: dict[str, dict[str, VideoName]] = {}
    for name in names:
        parts = VideoName.of(name)
        groups.setdefault(parts.stem, {})[name] = parts
    ids: dict[str, str] = {}
    for stem, group in groups.items():
        one = _is_one_video(group.values())
        if not one:
            _check_clear(group, source)
        ids |= {name: stem if one else name for name in group}
    return ids


def same_videos(names: Iterable[str], known: Iterable[str], source: str) -> dict[str, str]:
    """Translate names of videos into those that another file uses; a name that it does not know stays as it is.

    >>> same_videos(["a.mp4", "b", "c"], ["a", "b.avi"], "detections.json")
    {'a.mp4': 'a', 'b': 'b.avi', 'c': 'c'}

    Args:
        names: as the one file writes them.
        known: names as the other file writes them.
        source: the first file, for messages.

    Raises:
        HasvideoError: a name fits two known videos, or two different videos fit one.
    """
    of_stem: dict[str, dict[str, VideoName]] = {}
    for name in known:
        parts = VideoName.of(name)
        of_stem.setdefault(parts.stem, {})[name] = parts
    found: dict[str, str] = {}
    called: dict[str, dict[str, VideoName]] = {}
    for name in names:
        parts = VideoName.of(name)
        group = of_stem.get(parts.stem, {})
        fitting = [name] if name in group else [other for other, its in group.items() if parts.may_be(its)]
        if len(fitting) > 1:
            raise HasvideoError(f"{source}: video {name!r} may be {' or '.join(map(repr, fitting[:3]))}; say which")
        found[name] = fitting[0] if fitting else name
        called.setdefault(found[name], {})[name] = parts
    for name, group in called.items():
        if not _is_one_video(group.values()):
            raise HasvideoError(f"{source}: {' and '.join(map(repr, list(group)[:3]))} would all be video {name!r}")
    return found


def _is_one_video(names: Iterable[VideoName]) -> bool:
    said = list(names)
    return len({name.folder for name in said} - {""}) <= 1 and len({name.ending for name in said} - {""}) <= 1


def _check_clear(group: dict[str, VideoName], source: str) -> None:
    """Check that no name of the group fits two of its videos.

    Comparing every pair would take too long if each video is in a folder of its own and all have the same name.
    """
    whole = {parts: name for name, parts in group.items() if parts.folder and parts.ending}
    vague = {parts: name for name, parts in group.items() if parts not in whole}
    shorter = [p for w in whole for p in (w._replace(folder=""), w._replace(ending=""))]
    bare = VideoName("", next(iter(group.values())).stem, "")
    either = next((vague[p] for p in [bare, *shorter] if p in vague), "")
    if not either and any(p.folder for p in vague) and any(p.ending for p in vague):
        either = next(name for p, name in vague.items() if p.ending)
    if either:
        others = " and ".join(repr(name) for name in list(group)[:4] if name != either)
        raise HasvideoError(f"{source}: {either!r} may be one of several videos, beside {others}; write names alike")
