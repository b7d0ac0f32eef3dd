"""Pictures of actions in a video: a row a class, with its activation over time and its intervals; a film strip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hasvideo.errors import UsageError
from hasvideo.files import atomic_path
from hasvideo.output.base import TICK_STEPS, Thumbnail, labels, one_line
from hasvideo.output.palette import ThemeName, color, theme_named, theme_of
from hasvideo.output.tables import clock, describe_rule, display_width
from hasvideo.types import Activation, Detections, Interval, IntervalRule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hasvideo.datasets.annotations import Instance

    Span = Interval | Instance

MAX_ROWS = 60
"""Most classes in one picture; the picture says how many it leaves out."""

_WIDTH, _SIDE, _HEADER, _FOOTER, _MARGIN = 10.0, 0.4, 0.85, 0.55, 0.3  # inches
_CURVES, _LANE = 0.9, 0.14  # inches of a comparison's curves, and of a lane of bars under them
_BAR = 0.15  # inches of the bars of what is known under a row
# Tried in this order for each glyph; those that are not installed are left out.
_FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Arial Unicode MS", "PingFang SC",
          "Microsoft YaHei", "Noto Sans Devanagari", "Noto Sans Arabic", "Noto Emoji", "Symbola")  # fmt: skip


def plot(detections: Detections, path: Path, thumbnails: Sequence[Thumbnail] = (), theme: ThemeName = "light") -> None:
    """Draw the temporal activations of every class into a file; its suffix says the format (png, svg, pdf).

    A row is a class: its activation over time, a dashed line where the threshold cuts, and the intervals shaded.

    Args:
        detections: what was found in the video.
        path: where the picture goes.
        thumbnails: frames for a film strip under the time axis, ``(seconds, uint8 (H, W, 3))``; each place of the strip
            shows the frame nearest to its middle.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: the suffix is none of the above, or there is no such theme.
        HasvideoError: the file cannot be written.
    """
    save_figure(path, lambda: draw(detections, thumbnails, theme=theme))


def save_figure(path: Path, draw: Callable[[], Figure], dpi: int = 150) -> None:
    """Draw a figure in our style and write it, whole or not at all.

    Args:
        path: where the picture goes; its suffix says the format (png, svg, pdf).
        draw: makes the figure; it is called with the style set.
        dpi: dots per inch of a bitmap.

    Raises:
        UsageError: the suffix is none of the above.
        HasvideoError: the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    # Without dates, the same result gives the same bytes.
    metadata: dict[str, dict[str, Any]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    if suffix not in metadata:
        raise UsageError(f"cannot draw into {path}: the name must end in .png, .svg or .pdf")
    with plain_style(), atomic_path(path) as temporary:
        draw().savefig(temporary, dpi=dpi, metadata=metadata[suffix])


def draw(
    detections: Detections,
    thumbnails: Sequence[Thumbnail] = (),
    truth: Sequence[Span] = (),
    theme: ThemeName = "light",
) -> Figure:
    """Draw the picture of :func:`plot` as a matplotlib figure, to show in a notebook or change.

    Args:
        detections: what was found in the video.
        thumbnails: frames for a film strip, as :func:`plot` takes them.
        truth: known intervals, drawn as bars under the rows; a class that was not found gets a row too.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: there is no such theme.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys([*labels(detections), *(span.label for span in truth)]))
    shown = names[:MAX_ROWS]
    row = 1.0 if len(shown) <= 8 else 0.75
    strip = _strip_height(thumbnails)
    bottom = _HEADER + row * max(len(shown), 1) + (_BAR if truth else 0)
    height = bottom + _FOOTER + strip + (_MARGIN if strip else 0)
    figure = Figure(figsize=(_WIDTH, height), facecolor=theme_named(theme).paper)
    _draw_header(figure, detections, len(names) - len(shown), "bars below: known" if truth else "")
    activations = {a.label: a for a in detections.activations}
    for index, label in enumerate(shown):
        axes = _add_row(figure, _HEADER + row * index, row, label)
        _draw_row(axes, detections, label, activations.get(label), color(index))
        _draw_bars(axes, truth, label, -0.13, theme_of(axes).ink, 4)
        if label in activations:
            caption = "class probability " if index == 0 else ""
            _draw_probability(axes, f"{caption}{activations[label].score:.2f}")
    _draw_time_axis(figure, bottom, detections.info.duration)
    if strip:
        _draw_strip(figure, height - strip - _MARGIN, strip, thumbnails, detections.info.duration)
    return figure


def draw_comparison(found: Mapping[str, Detections], truth: Sequence[Span] = (), theme: ThemeName = "light") -> Figure:
    """Draw one video as several models see it, such as trained without and with hiding: their CAMs on one axis.

    A row is a class: those of the known intervals if there are any, else those of the first model. Each curve is
    scaled to its own maximum (rule ``minmax``: minimum and maximum), so that a dashed line at the threshold is right
    for all of them. Bars below show what each model finds and, last, what is known, which is also shaded in the row.

    Args:
        found: name of each model and its detections, all of the same video.
        truth: known intervals.
        theme: ``light`` or ``dark``.

    Raises:
        UsageError: there is no such theme.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    first = next(iter(found.values()))
    every = list(dict.fromkeys(span.label for span in truth)) or labels(first)
    names = every[:MAX_ROWS]
    row = 0.35 + _CURVES + _LANE * (len(found) + bool(truth))
    size, colours = (_WIDTH, _HEADER + row * max(len(names), 1) + _FOOTER), theme_named(theme)
    figure = Figure(figsize=size, facecolor=colours.paper)
    width, total = figure.get_size_inches()
    left_out = len(every) - len(names)
    write_header(figure, _SIDE, first.video, f"{left_out} more classes not shown" if left_out else "")
    shades = {name: color(index) for index, name in enumerate(found)} | ({"known": colours.ink} if truth else {})
    handles = [Line2D([], [], color=shade, linewidth=4, label=one_line(name)) for name, shade in shades.items()]
    place = (1 - _SIDE / width, 1 - 0.15 / total)
    legend = figure.legend(handles=handles, loc="upper right", bbox_to_anchor=place, ncols=len(handles), frameon=False)
    for text in legend.get_texts():
        text.set(parse_math=False, color=colours.ink)
    for index, label in enumerate(names):
        axes = _add_row(figure, _HEADER + row * index, row, label)
        _draw_compared(axes, found, label, truth)
    _draw_time_axis(figure, _HEADER + row * max(len(names), 1), first.info.duration)
    return figure


@contextmanager
def plain_style() -> Iterator[None]:
    """Set matplotlib up for our pictures, whatever the user's own settings are, and set it back afterwards.

    Colours are not part of it: they are the theme's, see :mod:`hasvideo.output.palette`.
    """
    import warnings

    import matplotlib.style
    from matplotlib.font_manager import fontManager

    fonts = [name for name in _FONTS if name in set(fontManager.get_font_names())] or ["sans-serif"]
    changes: dict[str, Any] = {"font.family": fonts, "font.size": 12, "svg.hashsalt": "hasvideo"}
    with matplotlib.style.context(["default", changes]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from (current )?font")
        yield


def _add_axes(figure: Figure, top: float, height: float) -> Axes:
    """Add axes as wide as the figure, ``height`` inches high, ``top`` inches below its upper edge."""
    width, total = figure.get_size_inches()
    return figure.add_axes((_SIDE / width, 1 - (top + height) / total, 1 - 2 * _SIDE / width, height / total))


def _add_row(figure: Figure, top: float, height: float, label: str) -> Axes:
    """Add axes for the row of a class, under its name; ``top`` and ``height`` of the row in inches."""
    axes = _add_axes(figure, top + 0.35, height - 0.35)
    axes.set_axis_off()
    write_line(axes, 0, 1.06, label, 60, size=12, weight="bold", transform=axes.transAxes, va="bottom")
    return axes


def write_line(
    target: Figure | Axes, x: float, y: float, text: str, columns: int, muted: bool = False, **style: Any
) -> None:
    """Write one line of text; dollars in it make no formula.

    Args:
        target: figure or axes to write into.
        x: place of the text, in the target's coordinates.
        y: place of the text, in the target's coordinates.
        text: what to write.
        columns: columns of a terminal that the text is cut to.
        muted: use the theme's muted colour.
        style: further properties of a matplotlib ``Text``.
    """
    text = one_line(text)
    while display_width(text) > columns:
        text = text[:-2] + "…"
    theme = theme_of(target)
    target.text(x, y, text, parse_math=False, **({"color": theme.muted if muted else theme.ink} | style))


def write_header(
    figure: Figure, side: float, title: str, facts: str, title_columns: int = 60, facts_columns: int = 100
) -> None:
    """Write a picture's title and, under it, a line of facts.

    Args:
        figure: the picture.
        side: inches to leave free on the left.
        title: what the picture shows.
        facts: what else to say of it.
        title_columns: columns of a terminal that the title is cut to.
        facts_columns: columns of a terminal that the facts are cut to.
    """
    width, height = figure.get_size_inches()
    write_line(figure, side / width, 1 - 0.40 / height, title, title_columns, size=16, weight="bold")
    write_line(figure, side / width, 1 - 0.68 / height, facts, facts_columns, size=11, muted=True)


def _draw_header(figure: Figure, detections: Detections, left_out: int, known: str) -> None:
    found, model = len(detections.intervals), Path(detections.model).name
    facts = [f"{found} interval{'' if found == 1 else 's'}", describe_rule(detections.rule), model, known]
    facts += [f"{left_out} more classes not shown"] if left_out else []
    write_header(figure, _SIDE, detections.video, " · ".join(filter(None, facts)))


def _draw_row(axes: Axes, detections: Detections, label: str, activation: Activation | None, shade: str) -> None:
    duration = max(detections.info.duration, 1e-3)
    axes.set(xlim=(0, duration), ylim=(0, 1))
    for interval in (i for i in detections.intervals if i.label == label):
        axes.axvspan(interval.start, interval.end, color=shade, alpha=0.35, linewidth=0)
        axes.plot([interval.start, interval.end], [0, 0], color=shade, linewidth=5, solid_capstyle="butt")
    if activation is not None and len(activation.cam):
        _draw_curve(axes, activation, detections.edges, detections.rule)
    axes.plot([0, duration], [0, 0], color=theme_of(axes).line, linewidth=1, zorder=1, clip_on=False)


def _draw_bars(axes: Axes, spans: Sequence[Span], label: str, y: float, shade: str, width: float) -> None:
    """Draw a bar for each interval of a class, ``width`` points thick."""
    for span in (s for s in spans if s.label == label):
        style: dict[str, Any] = {"color": shade, "linewidth": width, "solid_capstyle": "butt", "clip_on": False}
        axes.plot([span.start, span.end], [y, y], **style)


def _draw_compared(axes: Axes, found: Mapping[str, Detections], label: str, truth: Sequence[Span]) -> None:
    """Draw a row of :func:`draw_comparison`: curves from 0 to 1, lanes of bars below."""
    lane, theme = _LANE / _CURVES, theme_of(axes)
    axes.set(xlim=(0, next(iter(found.values())).info.duration), ylim=(-lane * (len(found) + bool(truth)), 1))
    for span in (s for s in truth if s.label == label):
        axes.axvspan(span.start, span.end, color=theme.line, alpha=0.6, linewidth=0)
    probabilities = []
    for index, detections in enumerate(found.values()):
        activation = next((a for a in detections.activations if a.label == label), None)
        probabilities.append("-" if activation is None else f"{activation.score:.2f}")
        if activation is not None:
            _draw_share(axes, activation, detections, color(index))
        axes.axhline(detections.rule.threshold, color=theme.muted, linewidth=1, linestyle=(0, (4, 3)))
        _draw_bars(axes, detections.intervals, label, -lane * (index + 0.5), color(index), 6)
    _draw_bars(axes, truth, label, -lane * (len(found) + 0.5), theme.ink, 6)
    _draw_probability(axes, f"class probability {', '.join(probabilities)}")


def _draw_share(axes: Axes, activation: Activation, detections: Detections, shade: str) -> None:
    """Draw the activation as a share of its maximum (rule ``minmax``: of its range), as the threshold is."""
    from hasvideo.extents import cam_range

    cam = activation.cam.astype(float)
    low, high = cam_range(cam, detections.rule.mode)
    if high > low:
        share = np.clip((cam - low) / (high - low), 0, 1)
        axes.stairs(share, detections.edges, color=shade, linewidth=1.6, baseline=None, clip_on=False)


def _draw_probability(axes: Axes, text: str) -> None:
    write_line(axes, 1, 1.06, text, 60, size=12, muted=True, transform=axes.transAxes, va="bottom", ha="right")


def _draw_curve(axes: Axes, activation: Activation, edges: np.ndarray, rule: IntervalRule) -> None:
    """Draw the activation from 0 (or its minimum, if that is lower) to its maximum, and where it is cut."""
    from hasvideo.extents import cut_value

    cam, theme = activation.cam.astype(float), theme_of(axes)
    low, high = min(cam.min(), 0.0), cam.max()
    if high <= low:
        return
    width = 1.2 if len(cam) < 1500 else 0.7  # with many cells a pixel, a thick line would fill the row
    axes.stairs((cam - low) / (high - low), edges, color=theme.ink, linewidth=width, baseline=None, clip_on=False)
    cut = cut_value(cam, rule.threshold, rule.mode)
    if np.isfinite(cut):
        axes.axhline((cut - low) / (high - low), color=theme.muted, linewidth=1, linestyle=(0, (4, 3)))


def _draw_time_axis(figure: Figure, top: float, duration: float) -> None:
    axes = _add_axes(figure, top, 0.001)
    axes.set(xlim=(0, max(duration, 1e-3)), yticks=[])
    step = next((s for s in TICK_STEPS if duration / s <= 10), TICK_STEPS[-1])
    ticks = np.arange(0, duration + 1e-9, step)
    axes.set_xticks(ticks, [_tick_label(t, step, duration) for t in ticks])
    muted = theme_of(axes).muted
    axes.tick_params(axis="x", length=5, color=muted, labelcolor=muted, labelsize=12)
    axes.spines[:].set_visible(False)


def _tick_label(seconds: float, step: float, duration: float) -> str:
    if duration >= 60:
        return clock(seconds)
    return f"{seconds:.1f} s" if step < 1 else f"{seconds:.0f} s"


def _strip_height(thumbnails: Sequence[Thumbnail]) -> float:
    """Return the film strip's height in inches: at least eight frames fit across, and 1.5 inches is the most."""
    if not thumbnails:
        return 0.0
    height, width = thumbnails[0][1].shape[:2]
    return float(min((_WIDTH - 2 * _SIDE) / 8 * height / width, 1.5))


def _draw_strip(figure: Figure, top: float, height: float, thumbnails: Sequence[Thumbnail], duration: float) -> None:
    pixels_high, pixels_wide = thumbnails[0][1].shape[:2]
    axes = _add_axes(figure, top, height)
    across = axes.get_window_extent().width / axes.get_window_extent().height
    places = max(int(across * pixels_high / pixels_wide), 1)
    axes.set(xlim=(0, across), ylim=(0, 1))
    axes.set_axis_off()
    times = np.array([time for time, _ in thumbnails])
    for place in range(places):
        nearest = int(np.abs(times - (place + 0.5) / places * duration).argmin())
        left, right = (across * (place + side) / places for side in (0.01, 0.99))
        axes.imshow(thumbnails[nearest][1], extent=(left, right, 0, 1), aspect="auto", interpolation="antialiased")
