"""A codebook's threshold is set from the codebook, the same everywhere, and what cannot be set says so."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.extract.test_local_extract import bag_of_words, load_bag, script_row
from tikval.cli.profiles import Wanted, report_of_profiles
from tikval.codebook import Codebook, load_codebook
from tikval.config import (
    TUNED_FOR,
    CatalogConfig,
    ExtractConfig,
    LocalExtractor,
    ScriptConfig,
    StatedRates,
    UserError,
)
from tikval.config.extract import SCHWARTZ
from tikval.extract import local
from tikval.extract.calibration import (
    background,
    calibrate,
    calibrate_rates,
    keep_calibration,
    kept_calibration,
    too_few,
    why_not_calibrated,
)
from tikval.extract.local import LocalValues, set_threshold
from tikval.extract.similarity import decide_labels
from tikval.hub import bundled
from tikval.hub.sentences import load_encoder

ROOT = Path(__file__).parents[2]
NEUTRAL = tuple(f"table corner{' corner' * n}" for n in range(12))
CONFIG = LocalExtractor.model_validate({"threshold": "codebook", "temperature": 0.1})
NUMBER = LocalExtractor().threshold


def codebook(examples: int = 3, neutral: tuple[str, ...] = NEUTRAL, **changes: Any) -> Codebook:
    def value(slug: str, yes: str, no: str) -> dict[str, Any]:
        stances = {"endorsing": yes, "confronting": no}
        shown = {name: [f"{word} {word} thing{i}" for i in range(examples)] for name, word in stances.items()}
        return {"slug": slug, "title": slug, "definition": yes, "motivation": yes, "opposed": no, **shown}

    values = [value("fun", "cake", "diet"), value("nature", "tree", "axe")]
    book = {"name": "two", "version": 1, "source": "here", "values": values, "neutral": neutral}
    return Codebook.model_validate(book | changes)


def test_the_threshold_lies_between_neutral_texts_and_examples() -> None:
    found = calibrate(codebook(), bag_of_words, CONFIG)
    assert (found.why_not, found.examples, found.neutral) == (None, 12, 12)
    assert (found.macro_f1, found.left_empty) == (1.0, 1.0)
    values = LocalValues("local", codebook(), CONFIG, load_bag)
    assert values.threshold == found.threshold
    among = "table corner. corner corner table. table table corner. corner table corner."
    some, nothing = values([script_row(f"{among} cake cake thing1."), script_row(among)])
    assert some["decisions"] == [True, False, False, False]
    assert nothing["decisions"] == [False] * 4


def test_it_is_the_same_each_time_and_another_for_other_settings() -> None:
    one, again = (calibrate(codebook(), bag_of_words, CONFIG) for _ in range(2))
    assert one == again
    more = LocalExtractor.model_validate({"threshold": "codebook", "temperature": 0.2})
    assert calibrate(codebook(), bag_of_words, more).threshold != one.threshold


def test_too_few_examples_set_nothing_and_are_named() -> None:
    few = codebook(examples=2)
    found = calibrate(few, bag_of_words, CONFIG)
    assert found.threshold == NUMBER
    assert found.why_not == too_few(few)
    assert "fun+ has 2, nature+ has 2, fun- has 2 and 1 more" in (found.why_not or "")


def test_examples_that_are_like_neutral_sentences_set_nothing() -> None:
    def blind(sentences: Sequence[str]) -> np.ndarray:
        return np.full((len(sentences), 4), 0.5, np.float32)

    found = calibrate(codebook(), blind, CONFIG)
    assert found.threshold == NUMBER
    assert found.why_not == "its examples do not stand out from neutral sentences"


def test_general_neutral_sentences_join_few_of_its_own() -> None:
    general = load_codebook(ROOT / "prompts" / "codebook.yaml").neutral
    assert background(codebook(), CONFIG) == NEUTRAL
    assert background(codebook(neutral=NEUTRAL[:2]), CONFIG) == (*NEUTRAL[:2], *general)
    assert background(codebook(neutral=()), LocalExtractor()) == ()  # as it was before thresholds were set


# the recipe


def configured(tmp_path: Path, **keys: Any) -> ExtractConfig:
    scripts = ScriptConfig(videos=CatalogConfig(videos="videos", out=str(tmp_path)), out=str(tmp_path))
    return ExtractConfig.model_validate({"scripts": scripts, "out": str(tmp_path), "system": "local", **keys})


@pytest.fixture
def own(tmp_path: Path) -> str:
    """A codebook of one's own, as a file."""
    file = tmp_path / "own.yaml"
    file.write_text(json.dumps(codebook().model_dump(mode="json")))
    return str(file)


def test_schwartz_keeps_its_threshold_and_its_recipe(tmp_path: Path) -> None:
    """Its number was chosen on labelled texts for this file: a change of the file must decide anew."""
    config = configured(tmp_path)
    assert config.extractor == LocalExtractor()
    assert isinstance(config.extractor, LocalExtractor)
    assert (config.extractor.recipe, config.extractor.threshold) == (2, NUMBER)
    assert why_not_calibrated(config) is None
    copied = tmp_path / "copy.yaml"
    copied.write_bytes((ROOT / "prompts" / "codebook.yaml").read_bytes())
    assert configured(tmp_path, codebook=str(copied)).fingerprint == config.fingerprint
    assert len(TUNED_FOR) == 64


def test_another_codebook_sets_its_own_unless_a_number_is_given(tmp_path: Path, own: str) -> None:
    config = configured(tmp_path, codebook=own)
    assert isinstance(config.extractor, LocalExtractor)
    assert config.extractor.threshold == "codebook"
    assert config.extractor.neutral == "prompts/codebook.yaml"
    given = configured(tmp_path, codebook=own, extractor={"threshold": 0.049})
    assert isinstance(given.extractor, LocalExtractor)
    assert (given.extractor.threshold, given.extractor.neutral) == (0.049, None)
    assert given.fingerprint != config.fingerprint
    assert why_not_calibrated(given) is not None


def test_a_profile_with_another_codebook_sets_its_threshold_and_leaves_its_annotations_out(
    tmp_path: Path, own: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo's annotations have columns of Schwartz's values, which another codebook does not know."""
    wanted = Wanted("examples/videos.csv", str(tmp_path), codebook=own)
    config = report_of_profiles(["demo"], wanted)
    [system] = config.scores.extracted
    assert isinstance(system.extractor, LocalExtractor)
    assert system.extractor.threshold == "codebook"
    assert config.scores.catalog.annotations is None
    assert "examples/labels.csv is of prompts/codebook.yaml: left out" in capsys.readouterr().err
    given = report_of_profiles(["demo"], replace(wanted, annotations="mine.csv"))
    assert given.scores.catalog.annotations == "mine.csv"
    alone = report_of_profiles(["demo"], Wanted("examples/videos.csv", str(tmp_path)))
    assert alone.scores.catalog.annotations == "examples/labels.csv"


def test_a_study_that_was_finished_before_stays_what_it_was(tmp_path: Path, own: str) -> None:
    """Its run.json has the number; read back, it is the same recipe."""
    first = configured(tmp_path, codebook=own, extractor={"recipe": 1, "threshold": 0.049})
    before = first.model_dump(mode="json")
    for key in ("neutral", "rates", "recipe", "gate", "appeals"):  # keys that it did not have
        del before["extractor"][key]
    assert ExtractConfig.model_validate(before).fingerprint == first.fingerprint
    assert ExtractConfig.model_validate(configured(tmp_path, codebook=own).model_dump()) == configured(
        tmp_path, codebook=own
    )


def test_what_is_not_given_is_of_the_recipe_that_is_meant() -> None:
    """A dump of before there were recipes has every number of them; a hand has written some."""
    dump = {"span": 2, "example_weight": 0.7, "temperature": 0.07, "prior_windows": 4, "threshold": 0.049}
    assert LocalExtractor.model_validate(dump) == LocalExtractor(recipe=1)
    assert LocalExtractor.model_validate(dump | {"recipe": 2}).gate == 4
    some = LocalExtractor(threshold=0.1)
    assert (some.recipe, some.gate, some.temperature) == (2, 4, 0.06)
    assert LocalExtractor(recipe=1).model_dump() == LocalExtractor.model_validate(dump).model_dump()


def test_the_first_recipe_is_tuned_for_schwartz_too(tmp_path: Path) -> None:
    assert why_not_calibrated(configured(tmp_path, extractor={"recipe": 1})) is None
    assert why_not_calibrated(configured(tmp_path, extractor={"recipe": 1, "gate": 4})) is not None


def test_another_encoder_is_not_what_the_number_was_chosen_for(tmp_path: Path) -> None:
    assert why_not_calibrated(configured(tmp_path, extractor={"encoder": "another"})) is not None


def test_the_threshold_is_set_once_for_a_folder_and_kept(tmp_path: Path, own: str) -> None:
    config, book = configured(tmp_path, codebook=own), codebook()
    assert isinstance(config.extractor, LocalExtractor)
    assert why_not_calibrated(config) == "its threshold was not kept"
    set_threshold(config, config.extractor, book, load_bag)
    kept = kept_calibration(config.folder)
    assert kept is not None
    assert kept.why_not == why_not_calibrated(config)
    keep_calibration(config.folder, kept.model_copy(update={"threshold": 0.3}))
    set_threshold(config, config.extractor, book, load_bag)  # a run that goes on
    values = LocalValues("local", book, config.extractor, load_bag, config.folder)
    assert values.threshold == 0.3
    set_threshold(configured(tmp_path), LocalExtractor(), book, load_bag)
    assert kept_calibration(configured(tmp_path).folder) is None


def test_a_kept_threshold_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text('{"threshold": "high"}')
    with pytest.raises(Exception, match=r"calibration\.json"):
        kept_calibration(str(tmp_path))


@pytest.mark.full
@pytest.mark.local_models
def test_on_schwartz_it_comes_to_what_labelled_texts_had_chosen() -> None:
    """The method's own proof: 138 labelled texts chose a number, the codebook alone about the same."""
    if bundled.cached_folder() is None:
        pytest.skip("fetch it first: python -m tikval.hub.bundled")
    book = load_codebook(ROOT / "prompts" / "codebook.yaml")
    encode, _ = load_encoder(LocalExtractor().encoder)
    for shipped, off in ((LocalExtractor(recipe=1), 0.003), (LocalExtractor(), 0.01)):
        found = calibrate(
            book, encode, shipped.model_copy(update={"threshold": "codebook", "neutral": SCHWARTZ})
        )
        assert found.why_not is None
        assert found.threshold == pytest.approx(shipped.threshold, abs=off)


def test_rates_give_each_label_of_a_stance_its_share_of_the_texts() -> None:
    scores_NL = np.random.default_rng(0).random((400, 6)) * [1, 2, 3, 1, 2, 0.1]
    found = calibrate_rates(scores_NL, StatedRates(endorsed=0.6, confronted=0.3))
    assert found.scripts == 400
    above_NL = scores_NL >= found.decides
    assert above_NL.sum(0).tolist() == [80, 80, 80, 40, 40, 40]
    decided_NL = np.array([decide_labels(scores_L, found.decides) for scores_L in scores_NL])
    assert not (decided_NL[:, :3] & decided_NL[:, 3:]).any()  # never both stances
    assert (decided_NL[:, :3] | decided_NL[:, 3:]).sum() == (above_NL[:, :3] | above_NL[:, 3:]).sum()


def test_a_rate_of_none_is_never() -> None:
    scores_NL = np.random.default_rng(0).random((400, 6))
    found = calibrate_rates(scores_NL, StatedRates(endorsed=1, confronted=0))
    decided_NL = np.array([decide_labels(scores_L, found.decides) for scores_L in scores_NL])
    assert not decided_NL[:, 3:].any()
    assert decided_NL[:, :3].mean() == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(("n_texts", "rate", "message"), [(99, 0.5, "99 scripts"), (100, 3, "has 3 values")])
def test_rates_that_cannot_be_followed_are_an_error(n_texts: int, rate: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        calibrate_rates(
            np.random.default_rng(0).random((n_texts, 6)), StatedRates(endorsed=rate, confronted=0)
        )


def test_rates_set_thresholds_once_from_the_scripts(
    tmp_path: Path, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["cake party", "cake table", "diet", "tree forest", "tree corner", "axe", "table corner", "table"]
    rows = [script_row(f'SPEAKER: "{texts[i % 8]} {texts[i // 8 % 8]}."') for i in range(128)]
    rates = {"endorsed": 0.5, "confronted": 0.2}
    config = configured(tmp_path, codebook=own, extractor={"rates": rates})
    book = codebook()
    assert isinstance(config.extractor, LocalExtractor)
    with pytest.raises(UserError, match=r"extractor\.rates need"):
        LocalValues("local", book, config.extractor, load_bag, config.folder)
    monkeypatch.setattr(local, "sample_of_scripts", lambda config: [*rows, script_row("")])
    set_threshold(config, config.extractor, book, load_bag)
    kept = kept_calibration(config.folder)
    assert kept is not None
    assert kept.scripts == 128  # a script without text has no rate
    assert why_not_calibrated(config) is None
    values = LocalValues("local", book, config.extractor, load_bag, config.folder)
    assert 0 < np.sum([row["decisions"] for row in values(rows)]) < len(rows)
    monkeypatch.setattr(local, "sample_of_scripts", lambda config: [])
    set_threshold(config, config.extractor, book, load_bag)  # a run that goes on
    assert kept_calibration(config.folder) == kept


def test_rates_are_another_recipe_and_none_is_the_old_one(tmp_path: Path) -> None:
    rates = {"endorsed": 3, "confronted": 1}
    before = configured(tmp_path).fingerprint
    assert configured(tmp_path, extractor={"rates": rates}).fingerprint != before
    assert configured(tmp_path, extractor={"rates": None}).fingerprint == before
