"""One clock for a whole file or stream, although its timestamps may be set back or run away on the way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet

STUMBLE = 0.1  # seconds that decoding times may go back by; FFmpeg's own
REORDER = 1.0  # seconds that presentation times may go back by, as frames are not stored in the order of display


@dataclass
class _Track:
    """Where a stream is, in seconds.

    Attributes:
        shift: what is added to its timestamps.
        last: the latest time so far.
        next: the one to be expected.
        length: how long a packet usually lasts.
        delay: the most that a frame was shown after it was decoded.
    """

    shift: float
    last: float = -math.inf
    next: float = math.inf
    length: float = 0.0
    delay: float = 0.0


class Clock:
    """Timestamps of packets, in the order in which they are read, that only go on.

    Recordings that were joined (``cat a.ts b.ts``) and cameras that were restarted set the clock back in the middle.
    It goes on after that where it was, for all streams by the same amount: whichever comes first sets it, and the
    others follow when their own time no longer fits, as packets of before may still come.

    Args:
        longest_gap: seconds between two packets of a stream; after a longer one the clock was set, unless ``end``.
        end: up to this time (seconds, as in the file) gaps of any length are real.
        joined: of a format whose recordings may be joined anywhere, which stores when frames are decoded: that time
            tells at every packet. Else the time of display tells, at key frames, as other frames are reordered.
        tell: called with the times (seconds) from and to which timestamps jumped ahead where that is not believed.

    Attributes:
        began: time of the first packet, seconds as in the file; None before that.
        was_set: whether it was set on the way.
    """

    def __init__(
        self,
        longest_gap: float,
        end: float = -math.inf,
        joined: bool = False,
        tell: Callable[[float, float], None] = lambda before, after: None,
    ) -> None:
        self.began: float | None = None
        self.was_set = False
        self._longest_gap, self._end, self._joined, self._tell = longest_gap, end, joined, tell
        self._tracks: dict[int, _Track] = {}
        self._shift = self._latest = 0.0  # of the last time it was set; of the last packet of any stream

    def adjust(self, packet: Packet) -> None:
        """Correct a packet's timestamps."""
        stamps = [stamp for stamp in (packet.dts, packet.pts) if stamp is not None]
        if not stamps or not packet.time_base:
            return
        tick = float(packet.time_base)
        time = stamps[0 if self._joined else -1] * tick
        track = self._tracks.get(packet.stream_index)
        if track is None:
            track = self._tracks[packet.stream_index] = self._new_track(time)
        elif not self._fits(track, time + track.shift, len(stamps) > 1) and (self._joined or packet.is_keyframe):
            if not self._fits(track, time + self._shift, len(stamps) > 1):
                self._set(time, track.next)
            track.shift = self._shift
        _shift(packet, round(track.shift / tick))
        time = self._correct(packet, track, time + track.shift, tick)
        length = packet.duration * tick if packet.duration else time - track.last
        if 0 < length <= REORDER:  # a longer one may be as wild as the time of the next packet from which it was made
            track.length = length
        if time > track.last:
            track.last, track.next = time, time + track.length
        self._latest = time

    def _new_track(self, time: float) -> _Track:
        if self.began is None:
            self.began = time
        elif self._joined and abs(time + self._shift - self._latest) > self._longest_gap:
            self._set(time, self._latest)
        return _Track(self._shift)

    def _correct(self, packet: Packet, track: _Track, time: float, tick: float) -> float:
        """Bring back a single frame whose time of display runs away, as where recordings join.

        Returns:
            the packet's time, seconds.
        """
        if packet.pts is None:
            return time
        shown = packet.pts * tick
        expected = time + track.delay if self._joined else track.next
        if self._is_gap(expected, shown) and (not self._joined or shown >= time - STUMBLE):
            track.delay = max(track.delay, shown - time)
            return time
        self._tell(expected, shown)
        packet.pts = round(expected / tick)
        return time if self._joined else expected

    def _fits(self, track: _Track, time: float, is_decoding_time: bool) -> bool:
        slack = STUMBLE if self._joined and is_decoding_time else REORDER
        return track.last - slack <= time and self._is_gap(track.next, time)

    def _is_gap(self, before: float, after: float) -> bool:
        """Tell whether what lies between two times is a gap in the recording, or none, and not the clock."""
        return after - before <= self._longest_gap or after <= self._end

    def _set(self, time: float, goes_on: float) -> None:
        if time + self._shift > goes_on:
            self._tell(goes_on, time + self._shift)
        self.was_set = True
        self._shift = goes_on - time


def _shift(packet: Packet, ticks: int) -> None:
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
