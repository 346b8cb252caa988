"""The labelled videos that heads are learnt from: their scripts, what is known of each label, and who made them."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tikval.codebook import Codebook
from tikval.config import TuneConfig, UserError
from tikval.extract.heads import FEWEST_POSITIVES, FEWEST_ROWS
from tikval.rows import LabelRow
from tikval.stats.arrays import Floats, Ints
from tikval.stats.folds import groups_of
from tikval.store.folder import Folder
from tikval.store.teacher import TeacherAnswers
from tikval.values import binary


class LabelledVideos(NamedTuple):
    """N videos with a script and labels, sorted by id."""

    rows: list[Any]  # ScriptRows
    targets: Floats  # [N, L] in [0, 1]; nan: nobody looked
    groups: Ints  # [N] videos of one account, or with the same script

    @property
    def state(self) -> str:
        """Changes whenever what is learnt from changes."""
        digest = hashlib.sha256(self.targets.tobytes() + self.groups.tobytes())
        for row in self.rows:
            digest.update(f"{row['row_key']} {script_sha(row)}".encode())
        return digest.hexdigest()[:16]


def script_sha(row: Any) -> str:
    """SHA-256 of what is read of a script and its caption."""
    return hashlib.sha256(f"{row['script']}\n{row['caption']}".encode("utf-8", "surrogatepass")).hexdigest()


def annotated_videos(config: TuneConfig, codebook: Codebook) -> LabelledVideos:
    """The annotated videos of the study. Raises UserError, in one line, where these are too few to learn from."""
    catalog = Folder(config.catalog.folder)
    labels = _of_one_annotator(catalog.read_side_table("labels"), config, codebook)
    ids = {row["video_id"] for row in labels}
    accounts = {row["video_id"]: row["account"] for row in catalog.rows(catalog, ids)}
    scripts = Folder(config.scripts.folder).rows(catalog, ids)
    rows = sorted((row for row in scripts if row["error"] is None), key=lambda row: row["video_id"])
    if len(rows) < FEWEST_ROWS:
        raise UserError(
            f"{len(rows)} annotated videos with a script are too few to learn from: annotate {FEWEST_ROWS} at least, "
            "100 or more where you can (tikval sample draws them)"
        )
    stances = {row["video_id"]: row["stances"] for row in labels}
    targets_NL = np.array([binary(stances[row["video_id"]]) for row in rows], float)
    return _grouped(rows, targets_NL, [accounts[row["video_id"]] for row in rows])


def taught_videos(config: TuneConfig, answers: TeacherAnswers) -> LabelledVideos:
    """The sample, with what the teacher answered. Raises UserError where that is too little to learn from."""
    target_of = dict(zip(answers.keys, answers.targets, strict=True))
    scripts = Folder(config.scripts.folder).read_listed(answers.keys).to_pylist()
    rows = sorted((row for row in scripts if row["error"] is None), key=lambda row: row["video_id"])
    if len(rows) < FEWEST_ROWS:
        raise UserError(
            f"{len(rows)} answers of {config.teacher and config.teacher.system} are too few to learn from: raise "
            f"`sample`, which is {config.sample}, or look at its failures (tikval failures)"
        )
    targets_NL = np.stack([target_of[bytes.fromhex(row["row_key"]).rstrip(b"\0")] for row in rows])
    # what the teacher hardly ever says is not learnt, and not modelled
    targets_NL[:, np.nansum(targets_NL, axis=0) < FEWEST_POSITIVES] = np.nan
    # each video by itself: the others of its account that were not drawn are judged by heads that learnt from it
    return LabelledVideos(rows, targets_NL, np.arange(len(rows)))


def _of_one_annotator(rows: Sequence[LabelRow], config: TuneConfig, codebook: Codebook) -> list[LabelRow]:
    if not rows:
        raise UserError(
            f"{config.system} learns from annotations, and the study has none: give a table of them with --annotations "
            "(docs/annotating.md)"
        )
    mine = [row for row in rows if row["label_set"] == codebook.label_set]
    if not mine or 2 * len(mine[0]["stances"]) != len(codebook.labels):
        others = ", ".join(sorted({row["label_set"] for row in rows}))
        raise UserError(
            f"the annotations are over {others}, {config.system} over {codebook.label_set} ({config.codebook}): name "
            "their codebook with --codebook"
        )
    names = sorted({row["annotator"] for row in mine})
    if config.annotator is None and len(names) > 1:
        raise UserError(
            f"{len(names)} annotators ({', '.join(names)}): name the one to learn from with --annotator, or merge them "
            "(tikval annotate merge)"
        )
    if config.annotator not in (None, *names):
        raise UserError(f"no annotator {config.annotator}; there are {', '.join(names)}")
    return [row for row in mine if config.annotator in (None, row["annotator"])]


def _grouped(rows: list[Any], targets_NL: Floats, accounts: list[str | None]) -> LabelledVideos:
    number: dict[str, int] = {}
    same = [number.setdefault(script_sha(row), len(number)) for row in rows]
    groups_N = groups_of(accounts, same, [row["video_id"] for row in rows])
    if len(np.unique(groups_N)) < 2:
        raise UserError(
            f"all {len(rows)} annotated videos are of one account: nothing would tell whether what is learnt holds for "
            "others; annotate videos of other accounts too"
        )
    return LabelledVideos(rows, targets_NL, groups_N)
