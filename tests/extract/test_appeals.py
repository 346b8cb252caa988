"""What is demanded, or condemned where it is offended, counts as endorsing."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.extract.test_local_extract import LABELS, bag_of_words, codebook, load_bag, script_row
from tikval.codebook import load_codebook
from tikval.config import ExtractConfig, LocalExtractor, UserError, load_config
from tikval.extract.appeals import appeals_for
from tikval.extract.calibration import calibrate
from tikval.extract.local import LocalValues
from tikval.hub import bundled
from tikval.hub.sentences import load_encoder
from tikval.rows import PredictionRow

SCHWARTZ = load_codebook(Path(__file__).parents[2] / "prompts" / "codebook.yaml")
PLAIN = {"temperature": 0.1, "threshold": 0.2, "gate": None, "example_weight": 1}


def scores_of(row: PredictionRow, labels: Sequence[str] = LABELS) -> dict[str, float]:
    found = zip(labels, row["scores"] or [], strict=True)
    return {label: score for label, score in found if score is not None}


def of_file(tmp_path: Path, text: str) -> LocalExtractor:
    (tmp_path / "appeals.yaml").write_text(text)
    return LocalExtractor.model_validate(PLAIN | {"appeals": str(tmp_path / "appeals.yaml")})


def test_a_complaint_that_has_the_words_of_the_harm_endorses(tmp_path: Path) -> None:
    config = of_file(tmp_path, json.dumps({"codebook": "two", "values": {"nature": ["table axe axe axe"]}}))
    without = LocalExtractor.model_validate(PLAIN | {"appeals": None})
    found = [
        LocalValues("local", codebook(), one, load_bag)([script_row('SPEAKER: "table axe axe axe"')])[0]
        for one in (without, config)
    ]
    assert [row["decisions"] for row in found] == [[False] * 3 + [True], [False, True, False, False]]
    for row in found:
        assert 0 < sum(scores_of(row).values()) <= 1


def test_other_words_are_another_recipe(tmp_path: Path) -> None:
    def fingerprint(text: str) -> str:
        extractor = of_file(tmp_path, text)
        return load_config(
            ExtractConfig, "configs/local/predictions.yaml", [("extractor", extractor)]
        ).fingerprint

    assert len({fingerprint(text) for text in ("codebook: two", "codebook: three")}) == 2


def test_a_value_without_appeals_is_as_before(tmp_path: Path) -> None:
    config = of_file(tmp_path, json.dumps({"codebook": "two", "values": {"nature": ["forest forest"]}}))
    without = config.model_copy(update={"appeals": None})
    script = script_row('SPEAKER: "cake party"')
    fun = [
        scores_of(LocalValues("local", codebook(), one, load_bag)([script])[0])["fun+"]
        for one in (config, without)
    ]
    assert fun[0] == pytest.approx(fun[1], rel=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"codebook": "three", "values": {}}', "is of the codebook three, and not of two"),
        ('{"codebook": "two", "values": {"art": ["x"]}}', "art is no value of the codebook two"),
        ('{"codebook": "two", "values": {"fun": []}}', r"appeals\.yaml: values\.fun"),
        ("values: [", r"appeals\.yaml"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        appeals_for(codebook(), of_file(tmp_path, text))


def test_our_own_file_has_every_value_of_schwartz_and_none_of_another_codebook() -> None:
    of_schwartz = appeals_for(SCHWARTZ, LocalExtractor())
    assert list(of_schwartz) == [value.slug for value in SCHWARTZ.values]
    assert not appeals_for(codebook(), LocalExtractor())
    few = SCHWARTZ.model_copy(update={"values": SCHWARTZ.values[:2]})
    assert len(appeals_for(few, LocalExtractor())) == 2
    assert not appeals_for(SCHWARTZ, LocalExtractor(recipe=1))


def test_no_appeal_is_an_example_of_the_codebook() -> None:
    """What is in both would be near to itself where examples are left out."""
    spoken = [
        sentence for of_value in appeals_for(SCHWARTZ, LocalExtractor()).values() for sentence in of_value
    ]
    assert len(set(spoken)) == len(spoken)
    known = {example for value in SCHWARTZ.values for example in (*value.endorsing, *value.confronting)}
    assert not known & set(spoken)


def test_a_threshold_from_the_codebook_goes_with_its_appeals(tmp_path: Path) -> None:
    from tests.extract.test_calibration import codebook as two

    config = of_file(tmp_path, json.dumps({"codebook": "two", "values": {"nature": ["tree tree"]}}))
    found = calibrate(
        two(), bag_of_words, config.model_copy(update={"threshold": "codebook", "neutral": None})
    )
    assert found.why_not is None


@pytest.mark.local_models
def test_the_bundled_model_hears_a_complaint_as_endorsing() -> None:
    if bundled.cached_folder() is None:
        pytest.skip("fetch it first: python -m tikval.hub.bundled")
    complaints = {
        "universalism_nature": "These factories poison our rivers and kill the fish. Somebody has to stop them.",
        "self_direction_action": "Who gave them the right to tell a grown woman what she may wear?",
        "security_personal": "They sell this poison to kids. It ruins their lungs and nobody stops them.",
        "universalism_concern": "Poor families pay the fines and the rich just walk away. That is not justice.",
        "benevolence_dependability": "He promised to be there and left her alone. You do not treat a friend like that.",
        "conformity_rules": "They drive without a licence and nobody punishes them. The law has to count for all.",
    }
    scripts = [script_row(f'SPEAKER: "{text}"') for text in complaints.values()]

    def endorsed_rather_than_confronted(config: LocalExtractor) -> int:
        of = LocalValues("local", SCHWARTZ, config, load_encoder)
        shares = [scores_of(row, SCHWARTZ.labels) for row in of(scripts)]
        return sum(each[f"{slug}+"] > each[f"{slug}-"] for slug, each in zip(complaints, shares, strict=True))

    without = endorsed_rather_than_confronted(LocalExtractor(appeals=None))
    assert endorsed_rather_than_confronted(LocalExtractor()) >= without + 2
