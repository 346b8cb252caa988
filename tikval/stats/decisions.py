"""What was decided of many videos, as a bit for each label: of ten million videos 38 labels are 50 MB, and not 380.

Shape letters: N videos, L labels, n some of the videos.
"""

from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from tikval.stats.arrays import Bools, Bytes, Floats32, Ints


@dataclass(frozen=True, slots=True)
class Decisions:
    """[N, L] 0 or 1; or the share of its judgements, where a system judged a video several times.

    Indexed like an array: `[rows]` gives [n, L], and `[:, k]` the column [N] of one label.
    """

    held: Bytes | Floats32  # bits [N, ceil(L / 8)], the first label highest; or shares [N, L]
    labels: int  # L

    @classmethod
    def of(cls, values_NL: NDArray[Any]) -> Self:
        """Decisions that are 0 or 1, or bools."""
        return cls(np.packbits(np.asarray(values_NL, bool), axis=1), values_NL.shape[1])

    @classmethod
    def none(cls, videos: int, labels: int) -> Self:
        """0 of every label."""
        return cls(np.zeros((videos, -(-labels // 8)), np.uint8), labels)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.held), self.labels

    def __len__(self) -> int:
        return len(self.held)

    @overload
    def __getitem__(self, at: Ints | Bools | list[int]) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, at: tuple[slice, int]) -> NDArray[Any]: ...
    def __getitem__(self, at: Any) -> NDArray[Any]:
        if not isinstance(at, tuple):
            rows = self.held[at]
            return np.unpackbits(rows, axis=1, count=self.labels) if self._are_bits else rows
        videos, k = at
        if not self._are_bits:
            return self.held[videos, k]
        shift = np.uint8(7 - k % 8)
        column: NDArray[Any] = self.held[videos, k // 8] >> shift & np.uint8(1)
        return column

    def only(self, at_N: Ints | Bools) -> "Decisions":
        """Those of some of the videos."""
        return Decisions(self.held[at_N], self.labels)

    @property
    def _are_bits(self) -> bool:
        return self.held.dtype == np.uint8
