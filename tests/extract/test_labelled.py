"""What can be learnt from, and what is said where nothing can."""

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.labelled import IDS, LABELLED, LabelledStudy
from tikval.codebook import Codebook, load_codebook
from tikval.config import UserError, find_file
from tikval.extract.labelled import LabelledVideos, annotated_videos
from tikval.sources.write_catalog import write_catalog


def book(**changes: str) -> Codebook:
    return load_codebook(find_file("prompts/codebook.yaml")).model_copy(update=changes)


def learnt_from(study: LabelledStudy, **changes: str | None) -> LabelledVideos:
    return annotated_videos(study.config.model_copy(update=changes), book())


def test_annotated_videos_with_a_script_their_labels_and_groups(tmp_path: Path) -> None:
    study = LabelledStudy(tmp_path)
    found = learnt_from(study)
    assert [row["video_id"] for row in found.rows] == list(LABELLED[2:])
    assert len(np.unique(found.groups)) == 10
    assert np.isnan(found.targets).any(axis=0).sum() == 34, "17 values that nobody looked for, both stances"
    assert found.state == learnt_from(study).state
    study.annotate(LABELLED, turned=True)
    assert found.state != learnt_from(study).state


def test_too_little_is_told_in_one_line(tmp_path: Path) -> None:
    study = LabelledStudy(tmp_path)
    study.annotate(IDS[:12])
    with pytest.raises(UserError, match="10 annotated videos with a script are too few to learn from"):
        learnt_from(study)
    write_catalog(study.catalog.model_copy(update={"annotations": None, "without": ("annotations",)}))
    with pytest.raises(UserError, match="the study has none"):
        learnt_from(study)
    study.annotate(LABELLED, coder="second")
    with pytest.raises(UserError, match="2 annotators \\(first, second\\)"):
        learnt_from(study)
    assert len(learnt_from(study, annotator="first").rows) == 78
    with pytest.raises(UserError, match="no annotator third"):
        learnt_from(study, annotator="third")


def test_one_account_another_codebook_and_no_labels(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(UserError, match="of one account"):
        learnt_from(LabelledStudy(tmp_path / "one", accounts=1))
    (tmp_path / "two").mkdir()
    study = LabelledStudy(tmp_path / "two")
    with pytest.raises(UserError, match="over schwartz-19, tuned over mine"):
        annotated_videos(study.config, book(name="mine"))
