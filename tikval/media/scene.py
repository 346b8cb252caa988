"""Plain facts of a video from its small frames, without a model: what any viewer could check at a glance."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tikval.media.reading import Scene

FRAMES: Final = 16  # that a description needs; more sees more cuts

_CUT: Final = 0.28  # distance of two colour layouts, of 1, above which two frames are two shots
_GRID: Final = 8


def describe_scene(frames: NDArray[np.uint8], width: int, height: int) -> Scene:
    """Describe [T, H, W, 3] evenly spaced frames, T >= 1, of a video shown at width x height."""
    # [T, G, G, 3] mean colours of the cells of a coarse grid, 0 to 1: deaf to noise and small shifts
    rows = np.array_split(np.arange(frames.shape[1]), _GRID)
    columns = np.array_split(np.arange(frames.shape[2]), _GRID)
    layout = np.stack(
        [np.stack([frames[:, r][:, :, c].mean((1, 2)) for c in columns], 1) for r in rows], 1
    ) / np.float64(255)
    change = np.abs(np.diff(layout, axis=0)).mean((1, 2, 3))  # [T - 1]
    cuts = change > _CUT
    moving = change[~cuts]
    motion = float(moving.mean()) if len(moving) else 0.0
    luma = float((frames.mean((0, 1, 2)) @ [0.299, 0.587, 0.114]) / 255)
    return Scene(
        orientation="vertical"
        if height > 1.05 * width
        else "horizontal"
        if width > 1.05 * height
        else "square",
        brightness=_word(luma, [(0.2, "dark"), (0.4, "dim"), (0.75, "bright")], "glaring"),
        motion=_word(motion, [(0.008, "still"), (0.04, "slow"), (0.1, "lively")], "hectic"),
        cuts=int(cuts.sum()),
    )


def _word(value: float, steps: list[tuple[float, str]], above: str) -> str:
    return next((word for limit, word in steps if value < limit), above)
