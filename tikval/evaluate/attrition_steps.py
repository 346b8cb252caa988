"""How far each post of a study gets, and why it gets no further: as arrays, a code for each reason.

Shape letters: N posts, V videos of the catalog.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.rows import Outcome, Reason
from tikval.stats.arrays import Bools, Ints
from tikval.store.folder import Folder
from tikval.store.row_keys import contains, keys_of

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


def codes_of(column: pa.ChunkedArray) -> Ints:
    """Texts as codes; -1 for null."""
    return np.asarray(pc.fill_null(pc.index_in(column, pa.array(WHY)), -1).to_numpy(), np.int64)


def is_one_of(codes: Ints, names: Iterable[str]) -> Bools:
    return np.asarray(np.isin(codes, [CODE[name] for name in names]), bool)


def taken(values_V: Ints, at_N: Ints, without: str | None = None) -> Ints:
    """The values of posts' videos; of a post without one the code of `without`, or -1."""
    none = CODE[without] if without else -1
    return np.where(at_N < 0, none, np.append(values_V, none)[at_N])


def why_not_read(videos: pa.Table, stages: Iterable[Folder]) -> Ints:
    """Why each video [V] was not read by any stage; -1 where one read it, or none that failed says that it cannot."""
    n = videos.num_rows
    read_V, silent_V, why_V = np.zeros(n, bool), np.zeros(n, bool), np.full(n, -1)
    for folder in stages:
        at, code = _rows_of(videos, folder)
        failed, silent = is_one_of(code, _NOT_READ), is_one_of(code, _SAYS_NOTHING)
        read_V[at[~failed & ~silent]] = True
        silent_V[at[silent]] = True
        new = failed & (why_V[at] < 0)
        why_V[at[new]] = code[new]
    why_V[(why_V < 0) & ~silent_V] = CODE[NOT_OPENED]
    why_V[read_V] = -1
    listed = codes_of(videos["error"])  # of a file that is there and that nobody can open
    return np.where(listed >= 0, listed, why_V)


def why_not_judged(videos: pa.Table, system: Folder) -> Ints:
    """Why a system has no result of each video [V]; -1 where it has one."""
    at, code = _rows_of(videos, system)
    why_V = np.full(videos.num_rows, CODE[NO_ROW])
    why_V[at[::-1]] = code[::-1]  # of several failures the first one
    why_V[at[code < 0]] = -1
    return why_V


def _rows_of(videos: pa.Table, folder: Folder) -> tuple[Ints, Ints]:
    """The rows of a folder that are of these videos: the place of each in them, and the code of its error."""
    keys_V = keys_of(videos["row_key"])
    order = np.argsort(keys_V, kind="stable")
    ordered = keys_V[order]
    at, codes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for table in folder.tables(["row_key", "error"]):
        keys = keys_of(table["row_key"])
        here = contains(ordered, keys)
        at.append(order[np.searchsorted(ordered, keys[here])])
        codes.append(codes_of(table["error"])[here])
    return np.concatenate(at), np.concatenate(codes)


def why_not_there(source: pa.ChunkedArray, outcome_N: Ints, error_N: Ints, at_N: Ints) -> tuple[Ints, Ints]:
    """Why each post could not be reached, and why its files are not there: -1 where they are."""
    file_N = (at_N >= 0) & ~is_one_of(
        error_N, NO_FILE
    )  # a file is there: whatever is told, it could be reached
    alone_N = pc.is_in(source, pa.array(_FILES_ALONE)).to_numpy()
    missing_N = np.where(error_N >= 0, error_N, CODE[Outcome.NO_FILE])
    told_N = np.where(alone_N & is_one_of(outcome_N, _REACHED), missing_N, outcome_N)
    reached_N = file_N | is_one_of(told_N, _REACHED)
    why_no_file = np.where(told_N == CODE[Outcome.TOO_LARGE], told_N, missing_N)
    return np.where(reached_N, -1, told_N), np.where(file_N, -1, why_no_file)


def last_step(steps: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Place in STEPS of the last step that each post reaches, and why it does not reach the next; -1: it has all.

    `steps`: for each step after the first, why a post does not reach it, -1 where it does.
    """
    level_N, why_N = np.zeros(len(steps[0]), np.int64), np.full(len(steps[0]), -1)
    for place, not_N in enumerate(steps):
        at_N = level_N == place
        level_N[at_N & (not_N < 0)] += 1
        stays_N = at_N & (not_N >= 0)
        why_N[stays_N] = not_N[stays_N]
    return level_N, why_N
