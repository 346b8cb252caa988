"""Times of packets, and one clock for a stream whose own jumps.

Parts of a live stream that were joined (HLS) each bring a clock of their own: it leaps ahead, falls back or starts
anew, and picture and sound do so at packets of their own. Such a stream lasts as long as what is in it: here its parts
are put one behind another, each moved as a whole, so that picture and sound of a part stay together.

Only the worker process uses this module.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tikval.media.reading import SAMPLE_RATE

_JUMP: Final = 1  # second: players wait this long for a late picture
_STEPS: Final = 8  # of the track's usual length, that a step must have to be a jump: slides may come slowly
_LAP: Final = Fraction(1, 2)  # second that pictures may overlap at a joint rather than the sound be broken
_BACK: Final = Fraction(1, 10)  # second: a smaller step back is a damaged time


@dataclass
class Timeline:
    """Times of a track's packets in the file's order, in its own ticks, and where in the file they stand."""

    tick: Fraction  # seconds
    dts: "array[int]" = field(default_factory=lambda: array("q"))
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    length: "array[int]" = field(default_factory=lambda: array("q"))
    place: "array[int]" = field(default_factory=lambda: array("q"))
    start: int = 0  # of what is shown
    end: int = 0

    def add(self, packet: Any, place: int) -> None:
        """Note a packet, the `place`th of the file."""
        pts, dts, length = packet.pts, packet.dts, packet.duration or 0
        pts = dts if pts is None else pts
        if pts is None:
            return
        if not self.pts:
            self.start, self.end = pts, pts + length
        elif pts < self.start:
            self.start = pts
        if pts + length > self.end:
            self.end = pts + length
        self.dts.append(pts if dts is None else dts)
        self.pts.append(pts)
        self.length.append(length)
        self.place.append(place)

    @property
    def seconds(self) -> Fraction:
        return (self.end - self.start) * self.tick

    def move(self, parts: list["Part"]) -> None:
        """Move each part's packets by its shift."""
        pts = np.array(self.pts, np.int64)
        for part in parts:
            pts[part.first : part.last + 1] += round(part.shift / self.tick)
        self.pts = array("q", pts.tolist())
        self.start, self.end = int(pts.min()), int((pts + np.array(self.length, np.int64)).max())


@dataclass
class Part:
    """A stretch of one track without a jump: its packets `first` to `last`; times in seconds on its own clock."""

    track: int
    first: int
    last: int
    start: Fraction
    end: Fraction
    places: tuple[int, int]  # in the file, of its first and last packet
    shift: Fraction = Fraction(0)  # seconds, onto the one clock


def span_of(tracks: Sequence[Timeline]) -> tuple[Fraction | None, Fraction]:
    """Seconds from the earliest start, and up to the latest end, of the tracks that have packets."""
    filled = [track for track in tracks if track.pts]
    if not filled:
        return None, Fraction(0)
    start = min(track.start * track.tick for track in filled)
    return start, max(track.end * track.tick for track in filled) - start


def without_jumps(tracks: Sequence[Timeline], alone: bool, lap: Fraction = _LAP) -> list[list[Part]]:
    """Put the tracks on one clock, in place, where theirs jumps; returns each track's parts, none where none jumps.

    The last track is the sound, if there is any: at a joint it goes on without a gap where it can.
    `alone`: whether a leap ahead counts that no other track confirms. `lap`: seconds that pictures may overlap there.
    """
    parts = [_split(number, track) for number, track in enumerate(tracks)]
    n_split = sum(len(some) > 1 for some in parts)
    parts = [
        _rejoined(some, [part for other in parts if other is not some for part in other]) for some in parts
    ]
    if not alone and n_split == 1:
        parts = [_rejoined(some, some) for some in parts]
    if all(len(some) < 2 for some in parts):
        return []
    ends: dict[int, Fraction] = {}  # of each track so far, on the one clock
    for group in _grouped(parts):
        latest = max(ends.values(), default=None)
        if latest is None:
            shift = Fraction(0)
        else:
            shifts = [ends.get(part.track, latest) - part.start for part in group]
            shift = shifts[-1] if max(shifts) <= shifts[-1] + lap else max(shifts)
        for part in group:
            part.shift = shift
            ends[part.track] = part.end + part.shift
    for track, some in zip(tracks, parts, strict=True):
        if some:
            track.move(some)
    return parts


def _split(number: int, track: Timeline) -> list[Part]:
    """A track's parts: between them its clock falls back, or leaps by far more than is usual in it."""
    if not track.dts:
        return []
    dts = np.array(track.dts, np.int64)
    steps = np.diff(dts)
    usual = int(np.median(steps)) if len(steps) else int(track.length[0])
    ahead = max(round(_JUMP / track.tick), _STEPS * usual)
    breaks = np.flatnonzero((steps > ahead) | (steps < -max(1, round(_BACK / track.tick)))) + 1
    firsts, lasts = [0, *breaks.tolist()], [*(breaks - 1).tolist(), len(dts) - 1]
    return [
        Part(
            number,
            first,
            last,
            int(dts[first]) * track.tick,
            (int(dts[last]) + max(0, usual)) * track.tick,
            (track.place[first], track.place[last]),
        )
        for first, last in zip(firsts, lasts, strict=True)
    ]


def _rejoined(parts: list[Part], others: list[Part]) -> list[Part]:
    """The parts without the leaps ahead during which another track goes on: there was only nothing to show.

    With themselves for others, without any leap ahead.
    """
    kept: list[Part] = []
    for part in parts:
        if kept and part.start > kept[-1].end and (parts is others or _goes_on(kept[-1], part, others)):
            before = kept.pop()
            part = Part(
                part.track,
                before.first,
                part.last,
                before.start,
                part.end,
                (before.places[0], part.places[1]),
            )
        kept.append(part)
    return kept


def _goes_on(before: Part, after: Part, others: list[Part]) -> bool:
    return any(
        other.places[0] < after.places[0] < other.places[1]
        and other.start <= before.end + _JUMP
        and other.end >= after.start - _JUMP
        for other in others
    )


def _grouped(parts: list[list[Part]]) -> list[list[Part]]:
    """Parts of different tracks that belong together, in the file's order: those that meet on their own clock."""
    waiting = [list(reversed(some)) for some in parts]
    groups: list[list[Part]] = []
    while heads := sorted((some[-1] for some in waiting if some), key=lambda part: part.places):
        first = heads[0]
        group = [
            part
            for part in heads
            if part.places[0] <= first.places[1]
            and part.start <= first.end + _JUMP
            and part.end >= first.start - _JUMP
        ]
        for part in group:
            waiting[part.track].pop()
        groups.append(sorted(group, key=lambda part: part.track))
    return groups


def with_silence(sound: NDArray[np.int16], parts: list[Part]) -> NDArray[np.int16]:
    """Sound [S] of the parts of a track, with silence where the one clock leaves a gap between two of them."""
    pieces, at = [], Fraction(0)
    begin = 0
    for before, after in pairwise(parts):
        at += before.end - before.start
        gap = (after.start + after.shift) - (before.end + before.shift)
        cut = min(round(at * SAMPLE_RATE), len(sound))
        pieces += [sound[begin:cut], np.zeros(max(0, round(gap * SAMPLE_RATE)), np.int16)]
        begin = cut
    return np.concatenate([*pieces, sound[begin:]])
