"""tikval's reading child with three full-size pictures read beside the small ones, and with the files of `trouble`.

It answers as tikval/media/worker.py does; only what it asks of the reader is set here, since that reads full-size
pictures for its text recogniser alone, which the other engines do not run.
"""

import sys
from pathlib import Path
from typing import Any

from benchmarks.peer_engines.trouble import trouble
from tikval.media.isolation import isolate, restrict

# before the other imports, as in tikval/media/worker.py
if __name__ == "__main__":
    restrict()
    ISOLATION = () if sys.argv[3] == "off" else isolate(Path.cwd())

from tikval.media import worker
from tikval.media.clip import Clip, read_clip


def read(file: int, **asked: Any) -> Clip:
    trouble(file)
    return read_clip(file, **asked | {"key_frames": 3})


if __name__ == "__main__":
    setattr(worker, "read_clip", read)  # noqa: B010  (that module does not export it)
    worker.main(ISOLATION)
