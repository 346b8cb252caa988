"""Thresholds by stated rates, out of the scripts of a study's own folder."""

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.fakes import load_words
from tests.fixtures.labelled import BROKEN, IDS, LabelledStudy
from tikval.codebook import load_codebook
from tikval.config import ExtractConfig, LocalExtractor, StatedRates, UserError, find_file
from tikval.extract import calibration
from tikval.extract.calibration import kept_calibration
from tikval.extract.local import LocalValues, sample_of_scripts, set_threshold


@pytest.fixture
def config(tmp_path: Path) -> ExtractConfig:
    study = LabelledStudy(tmp_path)
    rates = LocalExtractor(rates=StatedRates(endorsed=2, confronted=0))
    return ExtractConfig(scripts=study.scripts, out=study.out, system="local", extractor=rates)


def test_the_scripts_of_a_small_study_are_all_in_the_sample(config: ExtractConfig) -> None:
    assert {row["video_id"] for row in sample_of_scripts(config)} == set(IDS)
    assert sample_of_scripts(config) == sample_of_scripts(config)


def test_too_few_scripts_are_one_line_and_leave_nothing_behind(config: ExtractConfig) -> None:
    assert isinstance(config.extractor, LocalExtractor)
    with pytest.raises(UserError, match=f"extractor.rates: {len(IDS) - len(BROKEN)} scripts with text"):
        set_threshold(config, config.extractor, load_codebook(find_file(config.codebook)), load_words)
    assert kept_calibration(config.folder) is None


def test_every_text_counts_in_the_rate(config: ExtractConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "FEWEST_SCRIPTS", 50)
    assert isinstance(config.extractor, LocalExtractor)
    book = load_codebook(find_file(config.codebook))
    set_threshold(config, config.extractor, book, load_words)
    kept = kept_calibration(config.folder)
    assert kept is not None
    assert kept.scripts == len(IDS) - len(BROKEN)
    values = LocalValues("local", book, config.extractor, load_words, config.folder)
    decided = np.array([row["decisions"] for row in values(sample_of_scripts(config)) if row["decisions"]])
    assert not decided[:, 19:].any()
    assert decided.sum(1).mean() == pytest.approx(2, abs=0.5)
