"""The sample that a teacher answers, and its answers as numbers."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tikval.config import CatalogConfig
from tikval.rows import PredictionRow, Reason, arrow_schema
from tikval.store.folder import Folder
from tikval.store.row_keys import KEY
from tikval.store.teacher import NOT_ASKED_YET, sample_keys, teacher_answers


def keys(n: int, start: int = 0) -> np.ndarray:
    raw = b"".join(hashlib.sha256(str(i).encode()).digest()[:16] for i in range(start, start + n))
    return np.frombuffer(raw, KEY)


def test_a_larger_sample_holds_the_smaller_and_the_order_decides_nothing() -> None:
    every = keys(1_000)
    small, large = sample_keys(every, 100), sample_keys(every[::-1], 400)
    assert (len(small), len(large)) == (100, 400)
    assert set(small) < set(large)
    assert (np.sort(small) == small).all()


def test_a_growing_corpus_keeps_what_was_drawn_as_far_as_the_sample_grows_with_it() -> None:
    before, more = sample_keys(keys(1_000), 100), keys(2_000)
    assert (
        len(set(before) - set(sample_keys(more, 230))) < 10
    )  # twice as many of twice as many, and some to spare
    same_size = sample_keys(more, 100)
    assert set(same_size) - set(before) <= set(keys(1_000, 1_000))  # only a new video displaces one


def test_the_sample_is_not_larger_than_the_corpus() -> None:
    assert (sample_keys(keys(7), 400) == np.sort(keys(7))).all()
    assert len(sample_keys(keys(0), 400)) == 0


def test_the_sample_is_uniform() -> None:
    drawn = np.mean(
        [np.isin(keys(50, 50 * i), sample_keys(keys(50, 50 * i), 10)) for i in range(400)], axis=0
    )
    assert abs(drawn - 0.2).max() < 0.08  # four standard errors: the place in the table decides nothing


def test_keys_that_end_in_zeros_are_keys() -> None:
    ends = np.frombuffer(b"\x01" + bytes(15) + b"\x02" + bytes(15), KEY)
    assert len(sample_keys(ends, 1)) == 1


def row(number: int, **result: Any) -> dict[str, Any]:
    key = hashlib.sha256(str(number).encode()).digest()[:16].hex()
    empty = dict.fromkeys(PredictionRow.__annotations__)
    known = {
        "video_id": str(number),
        "row_key": key,
        "attempt": 1,
        "system": "t",
        "label_set": "s",
        "model": "m",
    }
    return {**empty, **known, **result}


def folder_of(tmp_path: Path, *rows: dict[str, Any]) -> Folder:
    folder = Folder(str(tmp_path / "predictions-0123456789ab"))
    name = folder.write_part(pa.Table.from_pylist(list(rows), schema=arrow_schema(PredictionRow)))
    config = CatalogConfig(videos="videos", out=str(tmp_path))
    folder.write_run(config, [name], {}, len(rows), {}, 1.0)
    return folder


def test_answers_are_soft_where_replies_voted_and_a_failure_is_no_answer(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        row(0, decisions=[True, False], scores=[2 / 3, 1 / 3], votes=3, cost_usd=0.5),
        row(1, decisions=[True, False], scores=[0.051, 0.02]),  # scores that are no probabilities
        row(2, error=Reason.BAD_REPLY.value, cost_usd=0.25),
        row(3, decisions=[False, False]),  # not drawn
    )
    found = teacher_answers(folder, np.sort(np.concatenate([keys(3), keys(1, 9)])))
    at = {key: place for place, key in enumerate(found.keys)}
    assert len(at) == 2
    assert found.targets[at[keys(1)[0]]] == pytest.approx([2 / 3, 1 / 3], abs=1e-6)
    assert found.targets[at[keys(1, 1)[0]]].tolist() == [1.0, 0.0]
    assert found.decisions[:, 0].all()
    assert not found.decisions[:, 1].any()
    assert found.failed == {Reason.BAD_REPLY.value: 1, NOT_ASKED_YET: 1}
    assert found.usd == 0.75


def test_a_label_that_the_teacher_does_not_model_is_not_known(tmp_path: Path) -> None:
    found = teacher_answers(folder_of(tmp_path, row(0, decisions=[None, True])), keys(1))
    assert np.isnan(found.targets[0, 0])
    assert found.targets[0, 1] == 1


def test_no_answer_at_all(tmp_path: Path) -> None:
    found = teacher_answers(folder_of(tmp_path, row(0, error=Reason.TIMEOUT.value)), keys(1))
    assert len(found.keys) == len(found.targets) == 0
    assert found.failed == {Reason.TIMEOUT.value: 1}
