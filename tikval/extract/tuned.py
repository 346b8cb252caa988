"""ScriptRow -> PredictionRow by the local extractor's vectors and scores, and heads that were learnt on them.

A labelled video gets what heads of the other folds made of it (`split` tuned, `fold`), so that scores may use it; every
other video what the mean of heads makes of it that each learnt from four fifths of the labelled videos.

<tuned>-<fingerprint>/heads.npz              the heads' arrays
                      heads.json             what they were learnt from, label by label; written last
                      _labelled-*.parquet    of each labelled video its vector, and its answers out of fold
"""

import io
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.codebook import Codebook
from tikval.config import TuneConfig, UserError
from tikval.extract.heads import FEWEST_POSITIVES, FittedHeads, HeadModel, fit_heads
from tikval.extract.labelled import LabelledVideos, script_sha
from tikval.extract.local import Load, LocalValues, Reading
from tikval.extract.similarity import unit
from tikval.files import delete, list_files, parse_json, read_bytes, read_parquet, write_bytes, write_table
from tikval.hub.sentences import load_encoder
from tikval.stats.arrays import Floats, Ints
from tikval.store.folder import Folder

SPLIT: Final = "tuned"
_MODEL, _CARD, _LABELLED = "heads.npz", "heads.json", "_labelled-"


class VideoVectors(NamedTuple):
    """N videos in the encoder's space."""

    vectors: np.ndarray  # [N, D] mean of the windows, of length 1
    base: np.ndarray  # [N, L] zero-shot scores


class TunedValues(LocalValues):
    """In batches of rows: holds the encoder, the codebook's vectors and the heads that lie in `folder`."""

    def __init__(
        self, config: TuneConfig, codebook: Codebook, folder: str, load: Load = load_encoder
    ) -> None:
        super().__init__(config.system, codebook, config.base, load, folder)
        self.heads = read_heads(folder)
        self.out_of_fold = {row["row_key"]: row for row in _labelled(folder).to_pylist()}

    def decide(self, row: Any, found: Reading) -> dict[str, Any]:
        if (labelled := self.out_of_fold.get(row["row_key"])) is not None:
            held_out = {name: labelled[name] for name in ("decisions", "scores", "fold")}
            return held_out | {"split": SPLIT}
        scores_L = self.heads.scores(video_vector(found)[None], found.scores[None])[0]
        return {
            "decisions": _known((scores_L >= self.heads.thresholds).tolist(), self.heads),
            "scores": _known(scores_L.tolist(), self.heads),
        }


def _known(of_labels: Sequence[Any], heads: HeadModel) -> list[Any]:
    """[L] None of the labels that the heads do not model."""
    return [None if np.isnan(limit) else one for one, limit in zip(of_labels, heads.thresholds, strict=True)]


def video_vector(found: Reading) -> np.ndarray:
    """[D] the mean of the windows' vectors, with length 1."""
    return unit(found.windows.mean(axis=0))


def known_state(folder: str) -> str | None:
    """The state of the labelled videos that the heads of a folder were learnt from; None: it has none."""
    data = read_bytes(f"{folder}/{_CARD}")
    return None if data is None else str(parse_json(data, f"{folder}/{_CARD}")["state"])


def read_card(folder: str) -> dict[str, Any]:
    """What the heads were learnt from. Raises UserError where there are none."""
    data = read_bytes(f"{folder}/{_CARD}")
    if data is None:
        raise UserError(f"{folder}: has no heads (any more); run jobs.tune again")
    card: dict[str, Any] = parse_json(data, f"{folder}/{_CARD}")
    return card


def read_heads(folder: str) -> HeadModel:
    """The heads of a tuned system's folder. Raises UserError for a file that jobs.tune did not write."""
    data = read_bytes(f"{folder}/{_MODEL}")
    if data is None:
        raise UserError(f"{folder}: has no heads (any more); run jobs.tune again")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            known = {each.name: arrays[each.name] for each in fields(HeadModel)}
    except (ValueError, KeyError, OSError) as err:
        raise UserError(f"{folder}/{_MODEL}: not as jobs.tune writes it") from err
    return HeadModel(**known | {"penalty": float(known["penalty"])})


def labelled_file(folder: str) -> str | None:
    """The table of labelled videos, which run.json names with the predictions."""
    names = list_files(folder, ".parquet", include_side_tables=True)
    return next((name for name in names if name.startswith(_LABELLED)), None)


def known_vectors(folder: str) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """Vector and zero-shot scores of videos that were labelled before, by row key and text."""
    return {
        (row["row_key"], row["text_sha"]): (np.array(row["vector"], np.float32), np.array(row["base"]))
        for row in _labelled(folder).to_pylist()
    }


def read_vectors(
    values: LocalValues,
    videos: LabelledVideos,
    known: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]],
    advance: Callable[[], None],
) -> tuple[LabelledVideos, VideoVectors]:
    """VideoVectors of the labelled videos, and these without those that say nothing; `known`: what need not be read."""
    found, has_text = [], []
    for row in videos.rows:
        made = known.get((row["row_key"], script_sha(row)))
        if made is None and (reading := values.read(row)) is not None:
            made = video_vector(reading), reading.scores
        has_text.append(made is not None)
        found += [made] if made is not None else []
        advance()
    at = np.array(has_text)
    rows = [row for row, there in zip(videos.rows, has_text, strict=True) if there]
    left = videos._replace(rows=rows, targets=videos.targets[at], groups=videos.groups[at])
    if not rows:
        raise UserError("none of the annotated videos says or shows any text: there is nothing to learn from")
    vectors, base = zip(*found, strict=True)
    return left, VideoVectors(np.stack(vectors), np.stack(base))


def learn_heads(
    config: TuneConfig,
    labels: Sequence[str],
    videos: LabelledVideos,
    found: VideoVectors,
    threshold: float,
    state: str,
) -> FittedHeads:
    """Fit the heads and write them into the system's folder; `threshold`: of the zero-shot scores."""

    def fit(groups: Ints) -> FittedHeads:
        folds, seed = config.heads.folds, config.heads.seed
        return fit_heads(*found, videos.targets, groups, folds=folds, seed=seed, base_threshold=threshold)

    try:
        fitted = fit(videos.groups)
        if config.teacher is not None:
            rates = fitted = replace(fitted, heads=_of_a_teacher(fitted))
        else:
            # heads that judge the others know the accounts of the annotated videos, so what corrects rates does, too
            rates = fit(np.arange(len(videos.rows)))
            fitted = replace(fitted, heads=replace(rates.averaged, thresholds=fitted.heads.thresholds))
    except ValueError as err:
        raise UserError(f"{config.system}: {err}") from err
    _write_labelled(config.folder, videos, found, fitted, rates.scores_NL)
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **vars(fitted.heads))
    write_bytes(f"{config.folder}/{_MODEL}", arrays.getvalue())
    card = _card(fitted, labels, videos) | {"state": state}
    write_bytes(f"{config.folder}/{_CARD}", json.dumps(card, indent=2).encode())
    return fitted


def _of_a_teacher(fitted: FittedHeads) -> HeadModel:
    """The heads whose rates the answers out of fold correct; what a teacher hardly ever says is not modelled."""
    heads = fitted.averaged
    thresholds_L = np.where(heads.positives < FEWEST_POSITIVES, np.nan, heads.thresholds)
    return replace(heads, thresholds=thresholds_L)


def _card(fitted: FittedHeads, labels: Sequence[str], videos: LabelledVideos) -> dict[str, Any]:
    heads = fitted.heads
    return {
        "videos": len(videos.rows),
        "groups": len(np.unique(videos.groups)),
        "folds": int(fitted.fold_N.max()) + 1,
        "penalty": heads.penalty if np.isfinite(heads.penalty) else None,
        "labels": {
            label: {
                "positives": round(float(heads.positives[n]), 3),
                "head": bool(heads.has_head[n]),
                "threshold": None if np.isnan(heads.thresholds[n]) else float(heads.thresholds[n]),
            }
            for n, label in enumerate(labels)
        },
    }


def _write_labelled(
    folder: str, videos: LabelledVideos, found: VideoVectors, fitted: FittedHeads, rate_scores_NL: Floats
) -> None:
    scores, decisions, rate_scores = (
        [_known(row, fitted.heads) for row in each.tolist()]
        for each in (fitted.scores_NL, fitted.decisions_NL, rate_scores_NL)
    )
    table = pa.table(
        {
            "video_id": [row["video_id"] for row in videos.rows],
            "row_key": [row["row_key"] for row in videos.rows],
            "text_sha": [script_sha(row) for row in videos.rows],
            "vector": pa.array(list(found.vectors.astype(np.float32)), pa.list_(pa.float32())),
            "base": pa.array(list(found.base.astype(np.float64)), pa.list_(pa.float64())),
            "scores": pa.array(scores, pa.list_(pa.float64())),
            "decisions": pa.array(decisions, pa.list_(pa.bool_())),
            # out of folds that part videos and not accounts, by which rates are corrected (evaluate/corpus.py)
            "rate_scores": pa.array(rate_scores, pa.list_(pa.float64())),
            "fold": pa.array(fitted.fold_N.tolist(), pa.int64()),
        }
    )
    for name in list_files(folder, ".parquet", include_side_tables=True):
        if name.startswith(_LABELLED):
            delete(f"{folder}/{name}")
    write_table(f"{folder}/{_LABELLED}{secrets.token_hex(8)}.parquet", table)


def _labelled(folder: str) -> pa.Table:
    name = labelled_file(folder)
    empty = pa.table({"row_key": pa.array([], pa.string())})
    table = read_parquet(f"{folder}/{name}") if name else empty
    return table.filter(pc.is_valid(table["row_key"]))


def learnt_ids(folder: Folder) -> list[str]:
    """Ids of the videos that a folder's heads were learnt from, as far as they are still known."""
    name = labelled_file(folder.uri)
    ids: list[str] = (
        read_parquet(f"{folder.uri}/{name}", ["video_id"])["video_id"].to_pylist() if name else []
    )
    return ids
