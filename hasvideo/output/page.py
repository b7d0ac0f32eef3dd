"""The HTML page: one file that plays the video and shows its timelines, without a server or a network."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from hasvideo.errors import HasvideoError
from hasvideo.output.base import (
    TICK_STEPS,
    WriteOptions,
    Writer,
    labels,
    one_line,
    relative_path,
    url_path,
    write_unicode,
)
from hasvideo.output.palette import color
from hasvideo.output.tables import clock, describe_rule
from hasvideo.types import Detections

MAX_EMBEDDED = 256 * 2**20
"""Largest video, in bytes, that is put into a page: browsers refuse or choke on data URLs much beyond it."""


class HtmlWriter(Writer[Detections]):
    """A page that plays the video, which is linked by a relative path, or is inside the page with ``embed_video``."""

    suffixes = (".html",)

    def write(self, detections: Detections, paths: Sequence[Path], options: WriteOptions) -> None:
        """Write ``<video>.html``."""
        write_unicode(paths[0], render(detections, paths[0].parent, embed_video=options.embed_video))


def render(detections: Detections, folder: Path, *, embed_video: bool = False) -> str:
    """Return the page's HTML.

    Args:
        detections: what was found in the video.
        folder: where the page will be; the link to the video starts there.
        embed_video: put the video's bytes into the page instead of linking the file.

    Raises:
        HasvideoError: the video to embed cannot be read or is larger than :data:`MAX_EMBEDDED`.
    """
    import jinja2

    path = relative_path(detections.info.path, folder)
    source = "" if detections.info.is_stream else url_path(path)
    style, script = _asset("page.css"), _asset("page.js")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_asset("page.html.j2")).render(
        title=one_line(detections.video),
        facts=_facts(detections),
        rule=_sentence(describe_rule(detections.rule)),
        source=_data_url(detections.info.path) if embed_video else source,
        embedded=embed_video,
        shown_path=one_line(path),
        policy=_content_policy(style, script),
        style=style,
        script=script,
        data=_page_data(detections),
    )


def _asset(name: str) -> str:
    return resources.files("hasvideo.output").joinpath(name).read_text(encoding="utf-8")


def _facts(detections: Detections) -> list[str]:
    info = detections.info
    facts = [
        clock(info.duration),
        f"{info.width}\u00d7{info.height}",
        f"{info.fps:.4g} fps",
        one_line(detections.model),
    ]
    return [fact for fact in facts if fact]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _content_policy(style: str, script: str) -> str:
    """Forbid all but this style, this script and a video: nothing from the network, no script hidden in a label."""
    hashes = [base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "media-src 'self' file: data:; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _data_url(video: Path) -> str:
    mimetype = mimetypes.guess_type(video.name)[0] or "video/mp4"
    try:
        size = video.stat().st_size
        if size > MAX_EMBEDDED:
            raise HasvideoError(
                f"cannot embed {video} into a page: it has {size / 2**20:.0f} MB, at most {MAX_EMBEDDED // 2**20} MB "
                "can be; link it instead"
            )
        return f"data:{mimetype};base64,{base64.b64encode(video.read_bytes()).decode()}"
    except OSError as error:
        raise HasvideoError(f"cannot embed {video} into a page: {error.strerror or error}") from error


def _page_data(detections: Detections) -> dict[str, Any]:
    return {
        "duration": detections.info.duration,
        "fps": detections.info.fps,
        "rule": asdict(detections.rule),
        "tick_steps": TICK_STEPS,
        "edges": _base64(detections.edges, "<f8"),
        "classes": _classes(detections),
    }


def _classes(detections: Detections) -> list[dict[str, Any]]:
    activations = {a.label: a for a in detections.activations}
    classes = []
    for index, label in enumerate(labels(detections)):
        activation = activations.get(label)
        classes.append(
            {
                "label": one_line(label),
                "color": color(index),
                "score": float(activation.score) if activation else None,
                "cam": _base64(activation.cam, "<f4") if activation else None,
                "found": [
                    [float(i.start), float(i.end), float(i.score)] for i in detections.intervals if i.label == label
                ],
            }
        )
    return classes


def _base64(values: np.ndarray, dtype: str) -> str:
    """Encode numbers exactly, at a third of the size of decimal digits: a long video has millions."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()
