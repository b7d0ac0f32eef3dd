"""Label Studio: a task with the found intervals as predictions on the video's timeline, to be corrected there.

How to import (the files of a video called ``clip``):

1. Let Label Studio serve the folder of your videos, say ``/data/videos``. It wants to know the folder above it and
   the folder itself: start it with ``LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true`` and
   ``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/data``, and add ``/data/videos`` as local storage of the project (Settings
   > Cloud Storage). Videos on a web server work too: give their address as ``labelstudio_prefix``
   (``--labelstudio-prefix``), for example ``https://example.org/videos/``.
2. Settings > Labeling Interface > Code: paste ``clip.labelstudio.xml``. For several videos in one project, list the
   labels of all of them (:func:`labeling_config`).
3. Import ``clip.labelstudio.json``.

Tried with Label Studio 1.23.

Label Studio counts frames from 1, and both ends of a range belong to it. It turns frames to seconds with the
``frameRate`` of its Video tag, by default 24. So each task carries the video's own average frame rate, which the tag
reads as ``$fps``. A video of variable frame rate drifts from any constant rate: re-encode it to a constant one first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from hasvideo.output.base import WriteOptions, Writer, chronological, labels, one_line, url_path, write_unicode
from hasvideo.output.palette import color
from hasvideo.output.tables import write_json
from hasvideo.types import Detections, Interval, VideoInfo

_CONFIG = """\
<View>
  <Video name="video" value="$video" frameRate="$fps" timelineHeight="120"/>
  <TimelineLabels name="actions" toName="video">
{labels}
  </TimelineLabels>
</View>
"""


class LabelStudioWriter(Writer[Detections]):
    """A task (JSON) with predictions, and the labeling configuration (XML) that it needs."""

    suffixes = (".labelstudio.json", ".labelstudio.xml")

    def write(self, detections: Detections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<video>.labelstudio.json`` and ``<video>.labelstudio.xml``."""
        task = _task(detections, options.labelstudio_prefix)
        write_unicode(paths[1], labeling_config(labels(detections)))
        write_json(paths[0], [task])


def labeling_config(names: Iterable[str]) -> str:
    """Return Label Studio's labeling configuration (XML) for a timeline with these labels."""
    lines = [f'    <Label value={quoteattr(one_line(name))} background="{color(i)}"/>' for i, name in enumerate(names)]
    return _CONFIG.format(labels="\n".join(lines))


def frame_range(interval: Interval, info: VideoInfo) -> tuple[int, int]:
    """Return the first and the last frame of an interval, counted from 1, both included.

    Frame ``n`` is shown from ``(n - 1) / fps`` to ``n / fps`` seconds; it belongs to the interval if its middle lies in
    it. An interval without such a frame gets the frame that it starts in.
    """
    total = max(math.ceil(info.duration * info.fps - 1e-6), 1)
    first = math.floor(interval.start * info.fps + 0.5) + 1
    last = math.floor(interval.end * info.fps + 0.5)
    if last < first:
        first = last = math.floor(interval.start * info.fps) + 1
    return min(first, total), min(last, total)


def _task(detections: Detections, prefix: str | None) -> dict[str, Any]:
    info = detections.info
    if prefix is None:
        prefix = f"/data/local-files/?d={url_path(info.path.absolute().parent.name)}/"
    elif not prefix.endswith(("/", "=")):
        prefix += "/"
    return {
        "data": {"video": prefix + url_path(info.path.name), "fps": info.fps, "duration": info.duration},
        "predictions": [
            {
                "model_version": one_line(detections.model) or "hasvideo",
                "score": max((i.score for i in detections.intervals), default=0.0),
                "result": [_region(n, i, info) for n, i in enumerate(chronological(detections.intervals))],
            }
        ],
    }


def _region(number: int, interval: Interval, info: VideoInfo) -> dict[str, Any]:
    start, end = frame_range(interval, info)
    return {
        "id": f"interval{number}",
        "type": "timelinelabels",
        "from_name": "actions",
        "to_name": "video",
        "score": interval.score,
        "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [one_line(interval.label)]},
    }
