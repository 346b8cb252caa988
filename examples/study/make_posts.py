"""Draw the clips of the example study, and write what people know: `python -m examples.study.make_posts FOLDER`.

    story --frames--> FOLDER/clips/<video_id>.mp4, accounts.csv (for tikval), truth.csv (for nobody but the test)

The pictures are those of the sample clips; nobody speaks. A clip that is there is not drawn again.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from examples import make_clips
from examples.make_clips import Canvas, Caption, Clip, frames
from examples.study.story import ACCOUNTS, StudyClip, accounts, clips
from tests.fixtures.clips import write_clip
from tikval.machine import cores
from tikval.spreadsheet import csv_of

FPS: Final = 8
SECONDS: Final = 0.9  # that each two lines are shown
SCENES: Final[dict[str, tuple[Callable[[float], Canvas], ...]]] = {
    "food": (make_clips.caramel_cake, make_clips.dumplings),
    "sports": (make_clips.half_pipe, make_clips.lake, make_clips.ladder),
}
_Y: Final = (120, 560)  # of the two lines, pixels from the top


def draw(clip: StudyClip, to: Path) -> None:
    """Write the clip as `to`, whole or not at all."""
    n = len(clip.lines) // len(_Y)
    captions = tuple(
        Caption(line, k // len(_Y) / n, (k // len(_Y) + 1) / n, "box", _Y[k % len(_Y)])
        for k, line in enumerate(clip.lines)
    )
    scene = SCENES[clip.genre][clip.place // 2 % len(SCENES[clip.genre])]
    drawn = Clip(clip.video_id, clip.account, clip.genre, "", scene, {}, captions=captions)
    pictures = [np.asarray(picture) for picture in frames(drawn, max(2, n) * SECONDS, FPS)]
    height, width, _ = pictures[0].shape
    part = to.with_suffix(".part.mp4")
    write_clip(part, pictures=pictures, width=width, height=height, rate=FPS, options={"threads": "1"})
    part.replace(to)


def main() -> None:
    """Make what is missing of the platform's folder."""
    parser = argparse.ArgumentParser(description="Draw the clips of the example study.")
    parser.add_argument("folder", type=Path, help="where the clips and tables go")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help="of each genre")
    args = parser.parse_args()
    story = list(clips(args.accounts))
    (args.folder / "clips").mkdir(parents=True, exist_ok=True)
    known = [
        ["account", "genre", "is_minor"],
        *([a, g, "yes" if m else "no"] for a, g, m in accounts(args.accounts)),
    ]
    (args.folder / "accounts.csv").write_text(csv_of(known))
    truth = [["video_id", "label"], *([clip.video_id, label] for clip in story for label in clip.conveys)]
    (args.folder / "truth.csv").write_text(csv_of(truth))
    files = {clip: args.folder / "clips" / f"{clip.video_id}.mp4" for clip in story}
    missing = {clip: file for clip, file in files.items() if not file.exists()}
    with ProcessPoolExecutor(cores()) as pool:
        for n, _ in enumerate(pool.map(draw, missing, missing.values()), start=1):
            if n % 12 == 0 or n == len(missing):
                print(f"{n} of {len(missing)} clips drawn", flush=True)


if __name__ == "__main__":
    main()
