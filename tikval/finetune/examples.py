"""Rows of the jobs before -> what is trained on: one text or vector, and one truth, per annotated row.

Shape letters: N rows with a text or vector, L trained labels, D width of a vector.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tikval.rows import LabelRow, Reason, row_key
from tikval.sources.cells import as_text
from tikval.sources.tables import Say, open_table, print_note
from tikval.values import binary

_SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """All that is trained on, sorted by id, so that nothing depends on the order of files."""

    ids: tuple[str, ...]  # [N]
    row_keys: tuple[str, ...]  # [N]
    texts: tuple[str, ...] | None  # [N]
    vectors: np.ndarray | None  # float32 [N, D]
    truth: np.ndarray  # bool [N, L]
    labels: tuple[str, ...]  # [L] names of those that are trained
    label_set: str
    all_labels: tuple[str, ...]  # the label set, in whose order a PredictionRow has its decisions
    accounts: tuple[str | None, ...]  # [N]
    near_duplicates: tuple[int | None, ...]  # [N]
    split: tuple[str, ...] | None  # [N] train, validation or test, where the table names them
    failed: Mapping[
        str, tuple[str, str, str | None]
    ]  # annotated, without text or vector: key, reason, detail
    targets: np.ndarray | None = None  # float32 [N, L] in [0, 1], that are learnt in place of `truth`

    @property
    def learnt(self) -> np.ndarray:
        """float32 [N, L]"""
        return self.truth.astype(np.float32) if self.targets is None else self.targets

    @property
    def state(self) -> str:
        """A hash that changes whenever what is trained on changes."""
        known = (self.ids, self.row_keys, self.labels, self.split, self.accounts, self.near_duplicates)
        digest = hashlib.sha256(repr(known).encode())
        digest.update(self.truth.tobytes())
        if self.targets is not None:
            digest.update(self.targets.tobytes())
        for text in self.texts or ():
            digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        if self.vectors is not None:
            digest.update(self.vectors.tobytes())
        return digest.hexdigest()[:16]


def examples_of(
    rows: Sequence[Any],
    annotations: Sequence[LabelRow],
    all_labels: Sequence[str],
    *,
    wanted: Sequence[str] | None,
    min_share: float,
    annotator: str | None,
    accounts: Mapping[str, str | None],
    near_duplicates: Mapping[str, int | None],
    split: Mapping[str, str] | None = None,
) -> Examples:
    """Join ScriptRows, EmbeddingRows or rows of texts with the annotations of one annotator.

    `wanted`: labels to train; None: those in at least `min_share` of the annotated rows. An annotated row that failed
    before, or has no row at all, is listed in `failed`. A value that nobody annotated is no label. Raises ValueError
    for several annotators where none is picked, unknown labels, a label without a positive row, and where no row is
    left.
    """
    truth = _truth(annotations, annotator)
    if not truth:
        raise ValueError("no annotations: there is nothing to learn from")
    coded = {video_id: np.array(binary(stances), float) for video_id, stances in truth.items()}  # nan: None
    return labelled_examples(
        rows,
        coded,
        all_labels,
        annotations[0]["label_set"],
        wanted=wanted,
        min_share=min_share,
        accounts=accounts,
        near_duplicates=near_duplicates,
        split=split,
    )


def labelled_examples(
    rows: Sequence[Any],
    coded: Mapping[str, np.ndarray],
    all_labels: Sequence[str],
    label_set: str,
    *,
    wanted: Sequence[str] | None,
    min_share: float,
    accounts: Mapping[str, str | None],
    near_duplicates: Mapping[str, int | None],
    split: Mapping[str, str] | None = None,
    targets: Mapping[str, np.ndarray] | None = None,
) -> Examples:
    """Join rows with the labels of some of them, [A] by id, 0 or 1 (nan: nobody looked), and the rest as `examples_of`.

    `targets` [A] in [0, 1], by id: what is learnt in place of the labels.
    """
    coded_NA = np.stack(list(coded.values()))
    if coded_NA.shape[1] != len(all_labels):
        raise ValueError(f"the annotations have {coded_NA.shape[1]} labels, the codebook {len(all_labels)}")
    labels = _labels(coded_NA, all_labels, wanted, min_share)
    by_id = {row["video_id"]: row for row in rows}
    ids, failed = _usable(coded, by_id)
    if not ids:
        raise ValueError(f"none of the {len(coded)} annotated rows has a text or a vector")
    places = [all_labels.index(label) for label in labels]
    first = by_id[ids[0]]
    return Examples(
        ids=tuple(ids),
        row_keys=tuple(by_id[video_id]["row_key"] for video_id in ids),
        texts=tuple(text_of_post(by_id[video_id]) for video_id in ids) if "vector" not in first else None,
        vectors=np.array([by_id[video_id]["vector"] for video_id in ids], np.float32)
        if "vector" in first
        else None,
        truth=_truth_of(labels, _rows_of(coded, ids)[:, places] == 1),
        labels=tuple(labels),
        label_set=label_set,
        all_labels=tuple(all_labels),
        accounts=tuple(accounts.get(video_id) for video_id in ids),
        near_duplicates=tuple(near_duplicates.get(video_id) for video_id in ids),
        split=_split(ids, split),
        failed=failed,
        targets=None if targets is None else _rows_of(targets, ids)[:, places].astype(np.float32),
    )


def _rows_of(by_id: Mapping[str, np.ndarray], ids: Sequence[str]) -> np.ndarray:
    return np.stack([by_id[video_id] for video_id in ids])


def _usable(
    annotated: Iterable[str], by_id: Mapping[str, Any]
) -> tuple[list[str], dict[str, tuple[str, str, str | None]]]:
    """Ids of annotated rows with a result, in order; of the others row key, reason and detail, by id."""
    ids, failed = [], dict[str, tuple[str, str, str | None]]()
    for video_id in sorted(annotated):
        row = by_id.get(video_id)
        if row is None:
            key = row_key(video_id, 0, "")
            failed[video_id] = (key, Reason.MISSING_FILE, "annotated, and not among the rows")
        elif row["error"] is not None:
            failed[video_id] = (row["row_key"], row["error"], row["detail"])
        else:
            ids.append(video_id)
    return ids, failed


def _truth_of(labels: Sequence[str], truth_NL: np.ndarray) -> np.ndarray:
    """The same. Raises ValueError for a label without a positive row."""
    positive_L = np.atleast_1d(truth_NL.any(axis=0))
    if empty := [label for label, positive in zip(labels, positive_L, strict=True) if not positive]:
        raise ValueError(f"labels without a positive row: {', '.join(empty)}; leave them out of `labels`")
    return truth_NL


def read_texts(
    uri: str, say: Say = print_note
) -> tuple[list[Any], dict[str, str | None], dict[str, str] | None]:
    """Rows, accounts and splits of a table with video_id, text and, where known, account and split.

    Raises UserError where the file cannot be read, and ValueError for missing columns, cells and repeated ids.
    """
    rows, accounts, split = list[Any](), dict[str, str | None](), dict[str, str]()
    table = open_table(uri)
    picked = table.pick({"video_id": (), "text": (), "account": (), "split": ()})
    table.say(say, picked)
    for line, cells in table.rows(exact=picked.get("text")):  # its hash is the row's key
        told = {name: as_text(cells[column]) for name, column in picked.items()}
        for column in ("video_id", "text"):
            if not told.get(column):
                raise ValueError(f"{table.at(line)}: no {column}")
        video_id, text = told["video_id"], told["text"]
        if video_id in accounts:
            raise ValueError(f"{table.at(line)}: {video_id} was there before")
        accounts[video_id] = told.get("account") or None
        if "split" in told:
            split[video_id] = told["split"]
        key = row_key(video_id, len(text), hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
        rows.append(
            {
                "video_id": video_id,
                "row_key": key,
                "script": text,
                "caption": None,
                "error": None,
                "detail": None,
            }
        )
    return rows, accounts, split or None


def text_of_post(row: Any) -> str:
    """What a text system reads of a post: its script, and its caption where it has one."""
    caption = row["caption"]
    return f"{row['script']}\n[{caption}]\n" if caption and caption.strip() else str(row["script"])


def _truth(rows: Sequence[LabelRow], annotator: str | None) -> dict[str, list[int | None]]:
    annotators = sorted({row["annotator"] for row in rows})
    if annotator is not None and annotator not in annotators:
        raise ValueError(f"no annotator {annotator!r}; there are: {', '.join(annotators)}")
    if annotator is None and len(annotators) > 1:
        raise ValueError(f"several annotators, pick one: {', '.join(annotators)}")
    return {row["video_id"]: row["stances"] for row in rows if annotator in (None, row["annotator"])}


def _labels(
    coded_NL: np.ndarray, all_labels: Sequence[str], wanted: Sequence[str] | None, min_share: float
) -> list[str]:
    unknown_L = np.isnan(coded_NL).any(0)
    if wanted is None:
        often = (coded_NL.mean(0) >= min_share) & ~unknown_L
        labels = [label for label, enough in zip(all_labels, often.tolist(), strict=True) if enough]
        if not labels:
            raise ValueError(f"no label reaches a share of {min_share:g}; lower min_share")
        return labels
    if unknown := sorted(set(wanted) - set(all_labels)):
        raise ValueError(f"labels: {', '.join(unknown)}: not among {', '.join(all_labels)}")
    if silent := [
        label for label, none in zip(all_labels, unknown_L, strict=True) if none and label in wanted
    ]:
        raise ValueError(f"labels: {', '.join(silent)}: not annotated")
    return [label for label in all_labels if label in set(wanted)]


def _split(ids: Sequence[str], split: Mapping[str, str] | None) -> tuple[str, ...] | None:
    if split is None:
        return None
    if wrong := sorted({split[video_id] for video_id in ids} - set(_SPLITS)):
        raise ValueError(f"split: {wrong[0]!r} is none of {', '.join(_SPLITS)}")
    return tuple(split[video_id] for video_id in ids)
