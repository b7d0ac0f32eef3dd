"""One clock for a whole file or stream, although its timestamps may be set back or run away on the way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet

STUMBLE = 0.1  # seconds that decoding times may go back by; FFmpeg's own
REORDER = 1.0  # seconds that presentation times go back by, where there are no decoding times, as frames are reordered


@dataclass
class _Track:
    """Where a stream is: what is added to its timestamps, the last one, the next one to be expected, in seconds."""

    shift: float
    last: float = -math.inf
    next: float = math.inf
    by_display: bool = False  # whether the last was a presentation time


class Clock:
    """Timestamps of packets, in the order in which they are read, that only go on.

    Recordings that were joined (``cat a.ts b.ts``) and cameras that were restarted set the clock back in the middle.
    It goes on after that where it was, for all streams by the same amount: whichever comes first sets it, and the
    others follow when their own time no longer fits, as packets of before may still come.

    Args:
        longest_gap: seconds between two packets of a stream; after a longer one the clock was set, unless ``end``.
        end: up to this time (seconds, as in the file) gaps of any length are real.
        common: whether a stream that begins more than ``longest_gap`` away from the others is on another clock.
        tell: called with the times (seconds) from and to which a clock that was set jumped.

    Attributes:
        began: time of the first packet, seconds as in the file; None before that.
        was_set: whether it was set on the way.
    """

    def __init__(
        self,
        longest_gap: float,
        end: float = -math.inf,
        common: bool = False,
        tell: Callable[[float, float], None] = lambda before, after: None,
    ) -> None:
        self.began: float | None = None
        self.was_set = False
        self._longest_gap, self._end, self._common, self._tell = longest_gap, end, common, tell
        self._tracks: dict[int, _Track] = {}
        self._shift = self._latest = 0.0  # of the last time it was set; of the last packet of any stream

    def adjust(self, packet: Packet) -> None:
        """Correct a packet's timestamps."""
        stamp = packet.pts if packet.dts is None else packet.dts
        if stamp is None or not packet.time_base:
            return
        tick = float(packet.time_base)
        track = self._tracks.get(packet.stream_index)
        if track is None:
            track = self._tracks[packet.stream_index] = self._new_track(stamp * tick)
        time = self._passes(track, stamp * tick, packet.dts is None)
        if track.shift:
            ticks = round(track.shift / tick)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        if packet.pts is not None and not self._is_gap(time, packet.pts * tick):
            self._tell(time, packet.pts * tick)
            packet.pts = packet.dts
        length = packet.duration * tick if packet.duration else min(time - track.last, REORDER)
        track.last, track.next = time, time + max(length, 0.0)
        self._latest = time

    def _new_track(self, time: float) -> _Track:
        if self.began is None:
            self.began = time
        elif self._common and abs(time + self._shift - self._latest) > self._longest_gap:
            self._set(time, self._latest)
        return _Track(self._shift)

    def _passes(self, track: _Track, time: float, by_display: bool) -> float:
        """When a packet of this time comes, seconds."""
        slack = REORDER if by_display or track.by_display else STUMBLE
        track.by_display = by_display
        if track.next < math.inf and not self._fits(track, time + track.shift, slack):
            if not self._fits(track, time + self._shift, slack):
                self._set(time, track.next)
            track.shift = self._shift
        return time + track.shift

    def _fits(self, track: _Track, time: float, slack: float) -> bool:
        return track.last - slack <= time and self._is_gap(track.next, time)

    def _is_gap(self, before: float, after: float) -> bool:
        """Whether what lies between two times is a gap in the recording, or none, and not the clock."""
        return after - before <= self._longest_gap or after <= self._end

    def _set(self, time: float, goes_on: float) -> None:
        if time + self._shift > goes_on:
            self._tell(goes_on, time + self._shift)
        self.was_set = True
        self._shift = goes_on - time
