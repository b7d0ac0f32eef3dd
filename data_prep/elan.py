"""Convert ELAN annotation files (``.eaf``).

    python -m data_prep.elan *.eaf --subset test -o annotations.json

By default the name of a tier is the class of its annotations, as in the files that ``localize -f eaf`` writes; with
``--labels value`` it is their text, as on a tier named "actions" whose annotations say which. The name of the video
is that of the first linked video without its suffix; without one that of the linked sound, without that the ``.eaf``
file's.

Times are the video's own: ELAN's plus the ``TIME_ORIGIN`` of the link, which is where in the video ELAN's time 0 is.
Annotations of dependent tiers have the time of the one they refer to, or share it equally where several divide it;
slots without a time lie at equal distances between the next ones with a time, as ELAN shows them.
"""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from data_prep.conversion import converter_parser, finish, from_rows, read_all
from hasvideo.commands import run
from hasvideo.datasets.annotations import Annotations, Instance, parse_segment
from hasvideo.datasets.names import SOUND_SUFFIXES
from hasvideo.errors import HasvideoError
from hasvideo.inputs import VIDEO_SUFFIXES

LABELS = ("tier", "value")

Span = tuple[float, float]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = converter_parser("elan", "Convert ELAN annotation files.", ".eaf files, one a video")
    parser.add_argument("--subset", default="test", help="subset of the videos")
    parser.add_argument("--labels", choices=LABELS, default="tier", help="what names the class: the tier or the text")
    parser.add_argument("--tiers", default="", help="read these tiers only, separated by commas")
    arguments = parser.parse_args(argv)
    tiers = [name.strip() for name in arguments.tiers.split(",") if name.strip()]

    def read(path: Path) -> Annotations:
        return read_elan(path, arguments.subset, arguments.labels, tiers)

    finish(read_all(arguments.inputs, read), arguments.output, arguments.meta)


def read_elan(path: Path, subset: str = "test", labels: str = "tier", tiers: Sequence[str] = ()) -> Annotations:
    """Read one ELAN file; a video without annotations is kept too.

    Annotations whose time cannot be told, that lie before the video begins, or that have no text to name their class
    are left out, with a warning that counts them.

    Args:
        path: the ``.eaf`` file.
        subset: subset of the video.
        labels: ``tier`` or ``value``: what names the class.
        tiers: read these only; all by default.

    Raises:
        HasvideoError: it is not an ELAN file, lacks a tier, or an annotation is reversed; the message names it.
    """
    document = _Document(_parse(path), path)
    missing = [name for name in tiers if name not in document.tiers]
    if missing:
        raise HasvideoError(f"{path} has no tier {missing[0]!r}; it has: {', '.join(document.tiers)}")
    video, origin = _video(document.root, path)
    left_out = Counter[str]()
    instances = list(_instances(document, tiers or list(document.tiers), labels, origin, left_out))
    for reason, count in left_out.items():
        warnings.warn(f"{path}: left out {count} annotations {reason}", stacklevel=2)
    instances.sort(key=lambda i: (i.start, i.end, i.label))
    return from_rows([(video, subset, i) for i in (None, *instances)], str(path))


def _parse(path: Path) -> ET.Element:
    try:
        root = ET.fromstring(path.read_bytes())
    except OSError as error:
        raise HasvideoError(f"cannot read {path}: {error.strerror or error}") from error
    except (ET.ParseError, LookupError, ValueError) as error:
        raise HasvideoError(f"{path} is not an ELAN file: {error}") from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise HasvideoError(f"{path} is not an ELAN file: it is an XML file of <{root.tag}>")
    units = root.find("HEADER[@TIME_UNITS]")
    if units is not None and units.get("TIME_UNITS") != "milliseconds":
        raise HasvideoError(f"{path} counts time in {units.get('TIME_UNITS')}; save it with ELAN, in milliseconds")
    return root


@dataclass(frozen=True)
class _Document:
    """What an ELAN file says, and when its annotations are, in milliseconds of ELAN's time."""

    root: ET.Element
    path: Path

    @cached_property
    def tiers(self) -> dict[str, list[ET.Element]]:
        """The annotations of each tier, in file order."""
        return {
            tier.get("TIER_ID", ""): [item for wrapper in tier.iter("ANNOTATION") for item in wrapper]
            for tier in self.root.iter("TIER")
        }

    @cached_property
    def spans(self) -> dict[str, Span]:
        """Start and end of each annotation whose time can be told."""
        spans: dict[str, Span] = {}
        waiting: list[dict[str, list[ET.Element]]] = []
        for items in self.tiers.values():
            spans |= self._aligned([item for item in items if item.tag == "ALIGNABLE_ANNOTATION"])
            waiting.append(_by_parent([item for item in items if item.tag == "REF_ANNOTATION"]))
        # A tier may depend on one that depends on another, in any order in the file: each round places one more level.
        placed = True
        while placed:
            ready = [(of.pop(parent), spans[parent]) for of in waiting for parent in list(of) if parent in spans]
            placed = bool(ready)
            for children, span in ready:
                spans |= _shares(children, span)
        return spans

    @cached_property
    def _times(self) -> dict[str, float]:
        slots = self.root.iter("TIME_SLOT")
        try:
            return {slot.get("TIME_SLOT_ID", ""): float(slot.attrib["TIME_VALUE"]) for slot in slots if _has_time(slot)}
        except ValueError as error:
            raise HasvideoError(f"{self.path}: a time slot is no number of milliseconds: {error}") from error

    @cached_property
    def _between(self) -> dict[str, float]:
        """Times of the slots that have none: at equal distances between the nearest slots in the file that have one."""
        found: dict[str, float] = {}
        run: list[str] = []
        before: float | None = None
        for slot in (slot.get("TIME_SLOT_ID", "") for slot in self.root.iter("TIME_SLOT")):
            after = self._times.get(slot)
            if after is None:
                run.append(slot)
                continue
            if before is not None and before <= after:
                found |= _spread(run, before, after)
            before, run = after, []
        return found

    def _aligned(self, items: Sequence[ET.Element]) -> dict[str, Span]:
        """Compute the spans of one tier's annotations that have slots of their own."""
        ends = {item.get("TIME_SLOT_REF1", ""): item.get("TIME_SLOT_REF2", "") for item in items}
        times = dict(self._times)
        # Annotations that divide another one share slots: they form a chain, both ends of which have a time. The file
        # may list slots of other tiers in between, so the chain is followed, not the order of the file.
        for start in [slot for slot in ends if slot in self._times and ends[slot] not in self._times]:
            chain = [ends[start]]
            while chain[-1] in ends and chain[-1] not in self._times and len(chain) <= len(ends):
                chain.append(ends[chain[-1]])
            last = self._times.get(chain[-1])
            if last is not None and last >= self._times[start]:
                times |= _spread(chain[:-1], self._times[start], last)
        times = self._between | times
        slots = ((item, item.get("TIME_SLOT_REF1", ""), item.get("TIME_SLOT_REF2", "")) for item in items)
        return {
            item.get("ANNOTATION_ID", ""): (times[begin], times[end])
            for item, begin, end in slots
            if begin in times and end in times
        }


def _has_time(slot: ET.Element) -> bool:
    return bool(slot.get("TIME_VALUE"))


def _spread(slots: Sequence[str], before: float, after: float) -> dict[str, float]:
    step = (after - before) / (len(slots) + 1)
    return {slot: before + step * number for number, slot in enumerate(slots, 1)}


def _by_parent(items: Sequence[ET.Element]) -> dict[str, list[ET.Element]]:
    """Group annotations by the one they refer to; in a group, each comes after the one that it names as previous."""
    lots: dict[str, list[ET.Element]] = {}
    for item in items:
        lots.setdefault(item.get("ANNOTATION_REF", ""), []).append(item)
    return {parent: _in_order(lot) for parent, lot in lots.items()}


def _in_order(lot: Sequence[ET.Element]) -> list[ET.Element]:
    ids = {item.get("ANNOTATION_ID", "") for item in lot}
    following: dict[str, list[ET.Element]] = {}
    for item in lot:
        previous = item.get("PREVIOUS_ANNOTATION", "")
        following.setdefault(previous if previous in ids else "", []).append(item)
    ordered = following.pop("", [])
    for item in ordered:  # the loop appends to it
        ordered += following.pop(item.get("ANNOTATION_ID", ""), [])
    return ordered + [item for rest in following.values() for item in rest]


def _shares(children: Sequence[ET.Element], span: Span) -> dict[str, Span]:
    step = (span[1] - span[0]) / len(children)
    edges = [span[0] + step * number for number in range(len(children))] + [span[1]]
    return {child.get("ANNOTATION_ID", ""): (edges[k], edges[k + 1]) for k, child in enumerate(children)}


def _instances(
    document: _Document, tiers: Sequence[str], labels: str, origin: float, left_out: Counter[str]
) -> Iterator[Instance]:
    for tier in tiers:
        for item in document.tiers[tier]:
            name = item.get("ANNOTATION_ID", "")
            span = document.spans.get(name)
            label = tier if labels == "tier" else (item.findtext("ANNOTATION_VALUE") or "").strip()
            if span is None:
                left_out["whose time cannot be told"] += 1
            elif not label:
                left_out["without a text to name their class (or take the tiers: --labels tier)"] += 1
            else:
                where = f"{document.path}: tier {tier!r}, annotation {name}"
                start, end = parse_segment([(time + origin) / 1000 for time in span], where)
                if end > 0:
                    yield Instance(label, max(start, 0.0), end)
                else:
                    left_out["that lie before the video begins"] += 1


def _video(root: ET.Element, path: Path) -> tuple[str, float]:
    """Find the name of the linked video, and where in it ELAN's time 0 is, in milliseconds."""
    links = [dict(link.attrib) for link in root.iter("MEDIA_DESCRIPTOR")]
    header = root.find("HEADER")
    if not links and header is not None and header.get("MEDIA_FILE"):
        links = [{"MEDIA_URL": header.attrib["MEDIA_FILE"]}]  # old files have it here only
    links = sorted((link for link in links if _file(link)), key=_rank)
    if not links:
        return path.stem, 0.0
    link = links[0]
    name = _file(link)
    videos = [_file(other) for other in links if _rank(other) == 0]
    if len(videos) > 1:
        warnings.warn(f"{path} links {len(videos)} videos; times are those of the first, {name}", stacklevel=3)
    if not videos and _rank(link) == 2:
        warnings.warn(f"{path} links no video, only sound: taking {name} for the video's name", stacklevel=3)
    try:
        return PurePosixPath(name).stem, float(link.get("TIME_ORIGIN") or 0)
    except ValueError as error:
        raise HasvideoError(f"{path}: TIME_ORIGIN of {name} is no number of milliseconds: {error}") from error


def _rank(link: Mapping[str, str]) -> int:
    """Rank a link: 0 for a video, 1 if it does not say, 2 for sound."""
    kind, suffix = link.get("MIME_TYPE", "").partition("/")[0], PurePosixPath(_file(link)).suffix.lower()
    if suffix in SOUND_SUFFIXES or (kind == "audio" and suffix not in VIDEO_SUFFIXES):
        return 2
    return 0 if kind == "video" or suffix in VIDEO_SUFFIXES else 1


def _file(link: Mapping[str, str]) -> str:
    """Get the name of the linked file, without folders."""
    absolute, relative = (_last(link.get(key, "")) for key in ("MEDIA_URL", "RELATIVE_MEDIA_URL"))
    # ELAN quotes the absolute address, and not always the relative one.
    if relative and relative == unquote(absolute):
        return relative
    return unquote(relative or absolute, errors="surrogateescape")


def _last(address: str) -> str:
    return address.replace("\\", "/").rpartition("/")[2]


if __name__ == "__main__":
    run(main)
