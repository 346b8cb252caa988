"""How far each post of a study gets, and why it gets no further: as arrays, a code for each reason.

Shape letters: N posts, V videos of the catalog.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.rows import Outcome, Reason
from tikval.stats.arrays import Bools, Codes, Ints
from tikval.store.folder import Folder
from tikval.store.row_keys import KeyPlaces, keys_of

STEPS: Final = ("listed", "reachable", "downloaded", "readable", "judged", "annotated")
REACHABLE, DOWNLOADED, READABLE, JUDGED, ANNOTATED = range(1, len(STEPS))  # places in STEPS
NOT_OPENED, NO_ROW, NO_SYSTEM, NO_LABEL = "not_opened", "no_row", "no_system", "not_annotated"
WHY: Final = tuple(  # what a loss may be called; a code is a place in this
    dict.fromkeys([*map(str, Outcome), *map(str, Reason), NOT_OPENED, NO_ROW, NO_SYSTEM, NO_LABEL])
)
CODE: Final = {name: code for code, name in enumerate(WHY)}
OPENING: Final = (
    "scripts",
    "embeddings",
    "predictions",
    "finetune",
    "combined",
    "tuned",
    "cascade",
)  # stages of videos
# of a catalog's row: no file lies there, or a store did not say
NO_FILE: Final = (Reason.MISSING_FILE, Reason.NOT_A_FILE, Reason.SERVER_ERROR)
_REACHED: Final = (Outcome.COLLECTED, Outcome.SOUND_REMOVED, Outcome.TOO_LARGE)
_FILES_ALONE: Final = ("folder", "manifest")  # sources that tell nothing of a post whose file is not there
_NOT_READ: Final = (
    *(Reason.UNREADABLE, Reason.DAMAGED, Reason.NO_VIDEO, Reason.EMPTY_FILE, Reason.PERMISSION_DENIED),
    *(Reason.MISSING_FILE, Reason.NOT_A_FILE, Reason.TOO_LONG, Reason.TOO_LARGE, Reason.OUT_OF_MEMORY),
    *(Reason.CRASHED, Reason.NO_SPACE, Reason.NO_PROCESS),
)
_SAYS_NOTHING: Final = (  # of the file: it was not opened, or a server or a stage failed
    *(Reason.MINOR, Reason.NOT_ASKED, Reason.OVER_BUDGET, Reason.TIMEOUT, Reason.SERVER_ERROR),
    *(Reason.RATE_LIMITED, Reason.INTERNAL_ERROR),
)


def codes_of(column: pa.ChunkedArray) -> Codes:
    """Texts as codes; -1 for null."""
    return np.asarray(pc.fill_null(pc.index_in(column, pa.array(WHY)), -1).to_numpy(), np.int8)


def is_one_of(codes: Codes, names: Iterable[str]) -> Bools:
    return np.asarray(np.isin(codes, [CODE[name] for name in names]), bool)


def taken(values_V: Codes, at_N: Ints, without: str | None = None) -> Codes:
    """The values of posts' videos; of a post without one the code of `without`, or -1."""
    none = CODE[without] if without else -1
    if not len(values_V):
        return np.full(len(at_N), none, values_V.dtype)
    values: Codes = values_V[at_N]
    values[at_N < 0] = none
    return values


def why_not_read(places: KeyPlaces, listed_V: Codes, stages: Iterable[Folder]) -> Codes:
    """Why each video [V] was not read by any stage; -1 where one read it, or none that failed says that it cannot.

    `places`: of the videos' row keys. `listed_V`: the error of a file that is there and that nobody can open.
    """
    n = len(listed_V)
    read_V, silent_V, why_V = np.zeros(n, bool), np.zeros(n, bool), np.full(n, -1, np.int8)
    for folder in stages:
        open_V = why_V < 0
        for at, code in _rows_of(places, folder):
            failed, silent = is_one_of(code, _NOT_READ), is_one_of(code, _SAYS_NOTHING)
            read_V[at[~failed & ~silent]] = True
            silent_V[at[silent]] = True
            new = failed & open_V[at]
            why_V[at[new]] = code[new]
    why_V[(why_V < 0) & ~silent_V] = CODE[NOT_OPENED]
    why_V[read_V] = -1
    return np.where(listed_V >= 0, listed_V, why_V)


def why_not_judged(places: KeyPlaces, n_videos: int, system: Folder) -> Codes:
    """Why a system has no result of each video [V]; -1 where it has one."""
    no_row = np.int8(CODE[NO_ROW])
    why_V = np.full(n_videos, no_row)
    for at, code in _rows_of(places, system):
        at, code = at[::-1], code[::-1]  # of several failures the first one
        new = why_V[at] == no_row
        why_V[at[new]] = code[new]
        why_V[at[code < 0]] = -1
    return why_V


def _rows_of(places: KeyPlaces, folder: Folder) -> Iterator[tuple[Ints, Codes]]:
    """The rows of a folder that are of these videos, by file: the place of each in them, and the code of its error."""
    for table in folder.tables(["row_key", "error"]):
        at = places.find(keys_of(table["row_key"]))
        yield at[at >= 0], codes_of(table["error"])[at >= 0]


def tells_nothing(source: pa.ChunkedArray) -> Bools:
    """Posts of sources that tell nothing of one whose file is not there."""
    return np.asarray(pc.is_in(source, pa.array(_FILES_ALONE)).to_numpy(), bool)


def why_not_there(alone_N: Bools, outcome_N: Codes, error_N: Codes, at_N: Ints) -> tuple[Codes, Codes]:
    """Why each post could not be reached, and why its files are not there: -1 where they are.

    `alone_N`: as `tells_nothing` has it.
    """
    file_N = (at_N >= 0) & ~is_one_of(
        error_N, NO_FILE
    )  # a file is there: whatever is told, it could be reached
    none = np.int8(-1)
    missing_N = np.where(error_N >= 0, error_N, np.int8(CODE[Outcome.NO_FILE]))
    told_N = np.where(alone_N & is_one_of(outcome_N, _REACHED), missing_N, outcome_N)
    reached_N = file_N | is_one_of(told_N, _REACHED)
    why_no_file = np.where(told_N == CODE[Outcome.TOO_LARGE], told_N, missing_N)
    return np.where(reached_N, none, told_N), np.where(file_N, none, why_no_file)


def last_step(steps: Sequence[Codes]) -> tuple[Codes, Codes]:
    """Place in STEPS of the last step that each post reaches, and why it does not reach the next; -1: it has all.

    `steps`: for each step after the first, why a post does not reach it, -1 where it does.
    """
    level_N, why_N = np.zeros(len(steps[0]), np.int8), np.full(len(steps[0]), -1, np.int8)
    for place, not_N in enumerate(steps):
        at_N = level_N == place
        level_N[at_N & (not_N < 0)] += 1
        stays_N = at_N & (not_N >= 0)
        why_N[stays_N] = not_N[stays_N]
    return level_N, why_N
