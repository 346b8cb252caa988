"""How a command ends: its exit code, and one line in the place of a traceback."""

import sys
from collections.abc import Callable
from typing import Final

from tikval.errors import UserError

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


def guard(work: Callable[[], int]) -> int:
    """The exit code of some work; what a user can mend becomes one line instead of a traceback."""
    try:
        return work()
    except UserError as err:
        print(f"tikval: {err}", file=sys.stderr)
        return USAGE
    except OSError as err:  # a full disk, a store that does not answer: no bug, and no end of the study
        what = " ".join(str(err).split())[:500]
        print(f"tikval: {what}; once that is mended the same command goes on from here", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("tikval: stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
