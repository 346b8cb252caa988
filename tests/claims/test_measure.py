"""Claims of a study, measured: against truth that is known, in every way that is there, and where nothing is said."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.claims import Claimed
from tests.fixtures.rows import prediction
from tikval.claims.measure import measure_claims, more_labels
from tikval.claims.measured import MeasuredClaim
from tikval.claims.population import Population, read_population
from tikval.config import ExtractConfig, LocalExtractor, ScriptConfig, UserError
from tikval.config.claims import ClaimsConfig
from tikval.evaluate.batches import BatchRecord, write_batch
from tikval.rows import PredictionRow, arrow_schema
from tikval.stats.arrays import Floats
from tikval.stats.claims import contrast_test, mean_test
from tikval.store.folder import Folder
from tikval.store.runs import Study

FOOD, TRAVEL = {"genre": "food"}, {"genre": "travel"}
OVER_TIME = {"before": "2026-02-01"}
LAST_WEEKS = ("4", "5", "6", "7")  # the videos of February end so


@pytest.fixture
def made(tmp_path: Path) -> Claimed:
    return Claimed(tmp_path)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Claimed:
    """Nothing is written into it."""
    made = Claimed(tmp_path_factory.mktemp("labelled"))
    made.label(150)
    return made


def family(system: str = "local", **claims: Any) -> ClaimsConfig:
    whole = {name: {"label": "hedonism+", "direction": "differ"} | claim for name, claim in claims.items()}
    return ClaimsConfig.model_validate({"name": "mine", "system": system, "claims": whole})


def read(made: Claimed, config: ClaimsConfig, known: frozenset[str] = frozenset()) -> Population:
    return read_population(Study(made.out), config, known_before=known)


def measured(made: Claimed, system: str = "local", **claims: Any) -> list[MeasuredClaim]:
    config = family(system, **claims)
    return measure_claims(config, read(made, config))


def means(truth: Mapping[str, bool], inside: Callable[[str], bool]) -> dict[str, float]:
    """By account, the share of its videos inside that have the label."""
    videos: dict[str, list[bool]] = {}
    for name, has_it in truth.items():
        if inside(name):
            videos.setdefault(name[:-2], []).append(has_it)
    return {account: float(np.mean(one)) for account, one in videos.items()}


def of_genre(made: Claimed, truth: Mapping[str, bool], genre: str) -> Floats:
    return np.array(list(means(truth, lambda name: made.genre[name] == genre).values()))


def test_where_all_is_labelled_every_claim_is_the_truth(made: Claimed) -> None:
    made.label(len(made.truth))
    found = {
        (one.claim, one.way): one
        for one in measured(
            made,
            groups={"group": FOOD, "against": TRAVEL},
            number={"group": FOOD, "against": 0.5},
            time={"over_time": OVER_TIME},
        )
    }
    food, travel = (of_genre(made, made.truth, genre) for genre in ("food", "travel"))
    late = means(made.truth, lambda name: name[-1] in LAST_WEEKS)
    early = means(made.truth, lambda name: name[-1] not in LAST_WEEKS)
    expected = {
        "groups": contrast_test(food, travel, "differ"),
        "number": mean_test(food, 0.5, "differ"),
        "time": mean_test(np.array([late[one] - early[one] for one in late]), 0.0, "differ"),
    }
    for way in ("corrected", "annotated"):
        for name, test in expected.items():
            one = found[name, way]
            numbers = one.estimate, one.error, one.degrees, one.p, one.lower, one.upper
            assert numbers == pytest.approx(test)
            assert (one.label_variance or 0) < 1e-12, "no label is missing"
    one = found["groups", "corrected"]
    assert (one.accounts_a, one.accounts_b, one.videos_a, one.videos_b) == (12, 12, 96, 96)
    assert (one.labelled_a, one.positives_a) == (96, 8 * food.sum())
    assert (found["time", "corrected"].accounts_a, found["time", "corrected"].accounts_b) == (28, None)


def test_a_system_that_errs_by_group_is_corrected(made: Claimed) -> None:
    """Raw it says the opposite of the truth; the labels of two thirds bring the estimate back."""
    says = {name: made.truth[name] if made.genre[name] == "food" else True for name in made.truth}
    made.system("biased", lambda name: says[name])
    made.label(150)
    corrected, raw, annotated, *_ = measured(made, "biased", one={"group": FOOD, "against": TRAVEL})
    true, biased = (
        of_genre(made, given, "food").mean() - of_genre(made, given, "travel").mean()
        for given in (made.truth, says)
    )
    assert raw.estimate == pytest.approx(biased)
    assert biased < 0 < true
    assert corrected.estimate == pytest.approx(true, abs=0.06)
    assert annotated.estimate == pytest.approx(true, abs=0.12)
    assert corrected.label_variance is not None
    assert corrected.error is not None
    assert 0 < corrected.label_variance < corrected.error**2


def test_accounts_on_both_sides_are_compared_within_or_not_at_all(labelled: Claimed) -> None:
    february, january = {"month": "2026-02"}, {"month": "2026-01"}
    (within, *_) = measured(labelled, one={"group": february, "against": january})
    (over_time, *_) = measured(labelled, one={"over_time": OVER_TIME})
    assert within == over_time
    mixed = {
        "account": [
            f"jane.{genre}{n:02}" for genre, many in (("food", 12), ("travel", 3)) for n in range(many)
        ]
    }
    for one in measured(labelled, one={"group": mixed | february, "against": TRAVEL | january}):
        assert (one.p, one.estimate) == (None, None)
        assert str(one.why_none).startswith("3 accounts are in both groups and most are not")
    with pytest.raises(UserError, match="96 videos in both groups"):
        measured(labelled, one={"group": {}, "against": FOOD})


def test_an_account_with_one_side_only_is_no_difference(made: Claimed) -> None:
    listed = made.root / "videos.csv"
    lines = listed.read_text().splitlines()
    listed.write_text(
        "\n".join(line.replace("2026-02", "2026-01") if "food00" in line else line for line in lines)
    )
    made.label(150)
    for one in measured(made, one={"over_time": OVER_TIME}):
        assert (one.accounts_a, one.accounts_b) == (27, None)


def test_videos_of_nobody_and_labels_known_before_are_left_out_and_counted(made: Claimed) -> None:
    listed = made.root / "videos.csv"
    listed.write_text(listed.read_text().replace("jane.food00", ""))
    made.label(150)
    known = frozenset(made.order[:60])
    config = family(one={"group": FOOD, "against": TRAVEL})
    found = read(made, config, known)
    nobody = {name for name in made.genre if name.startswith("food00")}
    assert found.notes == (
        "8 videos with no account, and claims are about accounts: left out",
        f"{len(known - nobody)} videos with labels that were known when the claims were declared: left out",
    )
    (view,) = found.views
    assert view.labels is not None
    videos = view.corpus.videos["video_id"].to_pylist()
    assert set(videos) == set(made.genre) - nobody - known
    assert {videos[i] for i in view.labels.labelled} == set(made.order[60:150]) - nobody
    assert view.labels.weight.sum() == pytest.approx(len(videos))


def test_labels_known_before_tell_only_how_scores_are_read(made: Claimed) -> None:
    made.label(150)
    known = frozenset(made.order[:140])
    config = family(one={"group": FOOD, "against": TRAVEL})
    (view,) = read(made, config, known).views
    label = view.corpus.codebook.labels.index("hedonism+")
    few, many = (replace(view, before=None), view)
    says = view.corpus.predicted[:, label] == 1
    food = view.sides["one"].a
    sure = [
        one.expected(label)[says & food].mean() - one.expected(label)[~says & food].mean()
        for one in (few, many)
    ]
    assert sure[1] > 0.7 > sure[0], "ten labels say little of what scores are worth"
    truths = {name: not made.truth[name] for name in known}
    made.truth |= truths
    made.label(150)
    turned, *_ = measure_claims(config, read(made, config, known))
    straight, *_ = measure_claims(config, Population([many], view.corpus.codebook.labels, ()))
    assert turned.labelled_a == straight.labelled_a <= 10
    assert turned.positives_a == straight.positives_a


def test_the_order_of_rows_decides_nothing(made: Claimed) -> None:
    made.label(120)
    one = measured(made, "local", one={"group": FOOD, "against": TRAVEL})
    made.order[:120] = made.order[:120][::-1]
    made.label(120)
    other = measured(made, "local", one={"group": FOOD, "against": TRAVEL})
    for a, b in zip(one, other, strict=True):
        assert a.way == b.way
        assert [a.estimate, a.p] == pytest.approx([b.estimate, b.p])


def test_every_system_prompt_and_sample_is_a_way(made: Claimed) -> None:
    made.label(150)
    answers(made, 0.3, lambda name: True, prompt_sha="old")
    answers(made, 0.4, lambda name: made.truth[name], prompt_sha="new", sample=2)
    answers(made, 0.5, lambda name: made.genre[name] == "food", prompt_sha="new")
    found = measured(made, "llm", one={"group": FOOD, "against": TRAVEL})
    ways = {(one.system, one.way, one.prompt_sha, one.sample): one for one in found}
    assert list(ways)[:3] == [
        ("llm", "corrected", "new", None),
        ("llm", "raw", "new", None),
        (None, "annotated", None, None),
    ]
    assert len(ways) == len(found) == 9, (
        "the one that decides, the annotators, another system, two runs before"
    )
    raw = [ways["llm", "raw", *of].estimate for of in (("new", None), ("old", None))]
    assert raw == [1, 0]
    right = ways["llm", "corrected", "new", 2]
    assert right.estimate == pytest.approx(ways["llm", "raw", "new", 2].estimate, abs=0.01)
    assert ways["llm", "corrected", "old", None].estimate == pytest.approx(right.estimate, abs=0.05)


def answers(made: Claimed, threshold: float, has_label: Callable[[str], bool], **changes: Any) -> None:
    """A run of one system by a recipe of its own."""
    config = ExtractConfig(
        scripts=ScriptConfig(videos=made.catalog, out=made.out),
        system="llm",
        extractor=LocalExtractor(threshold=threshold),
        out=made.out,
    )
    rows = [
        prediction(
            row["video_id"],
            *(["hedonism+"] if has_label(row["video_id"]) else []),
            row_key=row["row_key"],
            system="llm",
            **changes,
        )
        for row in Folder(made.catalog.folder).read(["video_id", "row_key"]).to_pylist()
    ]
    folder = Folder(config.folder)
    folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    folder.seal(config, {}, 1.0)


def test_batches_count_with_the_probabilities_on_record(made: Claimed) -> None:
    """Food was drawn three times as often as the rest: its labels stand for a third as many videos."""
    ids = sorted(made.genre)
    chance = {name: 0.75 if made.genre[name] == "food" else 0.25 for name in ids}
    rng = np.random.default_rng(1)
    drawn = [name for name in ids if rng.random() < chance[name]]
    made.order = [*drawn, *(name for name in ids if name not in drawn)]
    record = {
        "video_id": ids,
        "probability": list(chance.values()),
        "even": [len(drawn) / len(ids)] * len(ids),
        "known": [False] * len(ids),
        "drawn": [name in drawn for name in ids],
    }
    write_batch(made.out, BatchRecord(1, {}, pa.table(record)))
    made.label(len(drawn))
    (view,) = read(made, family(one={"group": FOOD, "against": TRAVEL})).views
    assert view.labels is not None
    videos = view.corpus.videos["video_id"].to_pylist()
    weights = {videos[i]: w for i, w in zip(view.labels.labelled, view.labels.weight, strict=True)}
    assert weights == pytest.approx({name: 1 / chance[name] for name in drawn})


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (
            {"group": {"genre": "gardening"}, "against": 0.1},
            "no video has the genre 'gardening'; there are food, sports",
        ),
        ({"group": FOOD, "against": {"account": "john"}}, "no video has the account 'john'$"),
        ({"group": {"colour": "red"}, "against": 0.1}, "no such column of the catalog"),
        ({"group": FOOD | {"month": "2026-03"}, "against": 0.1}, "no video has the month"),
    ],
)
def test_a_group_that_is_not_there_is_told(claim: dict[str, Any], reason: str, labelled: Claimed) -> None:
    with pytest.raises(UserError, match=reason):
        measured(labelled, one=claim)


def shown(**changes: Any) -> MeasuredClaim:
    numbers: dict[str, Any] = {
        "claim": "one",
        "way": "corrected",
        "system": "local",
        "estimate": 0.1,
        "error": 0.1,
        "degrees": 30.0,
        "p": 0.1626,
        "lower": -0.1,
        "upper": 0.3,
        "accounts_a": 16,
        "accounts_b": 16,
        "videos_a": 500,
        "videos_b": 500,
        "labelled_a": 50,
        "labelled_b": 50,
        "positives_a": 9,
        "positives_b": 5,
        "label_variance": 0.009,
    }
    return MeasuredClaim(**numbers | changes)


def test_more_labels_help_only_where_labels_are_what_is_missing() -> None:
    few = more_labels(shown(), 0.05)
    assert few is not None
    assert 100 < few < 900
    stricter = more_labels(shown(), 0.01)
    assert stricter is not None
    assert stricter > few
    assert more_labels(shown(label_variance=0.005), 0.05) is None, "accounts differ too much"
    assert more_labels(shown(p=0.8374), 0.05) is None, "it points the other way"
    assert more_labels(shown(p=None), 0.05) is None
