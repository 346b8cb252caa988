"""Files that crash or hang their reader: stand-ins, as no file is known that does so to the FFmpeg at hand.

Light on purpose: tikval's child imports it before it gives up the right to read this folder.
"""

import os
import time
from typing import Final

CRASHES: Final = b"this file crashes its reader"
HANGS: Final = b"this file keeps its reader for ever"


def trouble(file: str | int) -> None:
    """What a decoder with a fault would do to its process over one of these files, at its first bytes."""
    with open(file, "rb", closefd=isinstance(file, str)) as content:
        head = content.read(64)
        content.seek(0)
    if head.startswith(CRASHES):
        os.abort()
    while head.startswith(HANGS):
        time.sleep(1)
