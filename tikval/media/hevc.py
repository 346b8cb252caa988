"""What an HEVC packet says about its picture before it is decoded: whether another picture needs it.

Only the worker process imports this module.
"""

from typing import Any, Final

_SPARE: Final = frozenset(
    {0, 2, 4, 6, 8, 10, 12, 14}
)  # types of a picture that no other of its layer refers to
_FIRST_NO_PICTURE: Final = 32  # parameter sets, delimiters, messages


class Layers:
    """Reads the headers of a track's pictures in MP4 or Matroska, by the codec's `extradata`.

    A picture that no other of its temporal layer refers to can only be needed by higher layers: in the highest one,
    by none.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        is_framed = codec == "hevc" and extradata is not None and len(extradata) > 22 and extradata[0] == 1
        self._size = (extradata[21] & 3) + 1 if is_framed and extradata else 0  # bytes of a unit's length
        self._layers: list[int] = []
        self._spare: list[bool] = []

    def add(self, packet: Any) -> None:
        """Note the next packet of the track."""
        if self._size:
            kind, layer = self._header(memoryview(packet))
            self._layers.append(layer)
            self._spare.append(kind in _SPARE)

    @property
    def spare(self) -> list[bool]:
        """Whether the picture of each packet can be left out; empty where that is not known."""
        top = max(self._layers, default=0)
        return [spare and layer == top for spare, layer in zip(self._spare, self._layers, strict=True)]

    def _header(self, data: memoryview) -> tuple[int, int]:
        """Type and temporal layer of the packet's first slice; both -1 where there is none."""
        at, size = 0, self._size
        while at + size + 2 <= len(data):
            length = int.from_bytes(data[at : at + size], "big")
            at += size
            kind = data[at] >> 1 & 63
            if kind < _FIRST_NO_PICTURE:
                return kind, data[at + 1] & 7
            at += length
        return -1, -1
