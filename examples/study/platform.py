"""A platform of its own on loopback that has the study's posts: `python -m examples.study.platform FOLDER COMMAND ...`.

It serves the clips of FOLDER while COMMAND runs, and ends with its exit code. Two accounts also list a post that cannot
be had, and one account is private, as on any platform.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from examples.study.story import accounts, clips
from tests.fixtures.platform import FakeAccount, FakePost, Platform, collector

__all__ = ["collector"]
_DAYS: Final = 86_400 << 32  # of an id
LOST: Final = {"crumb.food": "deleted", "oar.sports": "age"}  # one post more, and why there is no file
PRIVATE: Final = "locked.door"


def pages(folder: Path) -> list[FakeAccount]:
    """The accounts that accounts.csv of the folder lists, with their posts, and a private one."""
    files = {file.stem: file for file in (folder / "clips").glob("*.mp4")}
    per_genre = len(files) // 4
    posts: dict[str, list[FakePost]] = {name: [] for name, _, _ in accounts(per_genre)}
    for clip in clips(per_genre):
        posts[clip.account].append(FakePost(clip.video_id, caption=clip.caption, file=files[clip.video_id]))
    for name, why in LOST.items():
        if name in posts:
            posts[name].append(FakePost(str(int(posts[name][0].video_id) + _DAYS), why))
    return [
        *(FakeAccount(name, tuple(own)) for name, own in posts.items()),
        FakeAccount(PRIVATE, (), private=True),
    ]


def main() -> None:
    """Serve while the command runs."""
    folder, *command = sys.argv[1:]
    with Platform(pages(Path(folder))) as platform:
        sys.exit(subprocess.run(command, env=os.environ | platform.env, check=False).returncode)


if __name__ == "__main__":
    main()
