"""The example study: what is true in it is what its claims name, and run whole it comes to the known verdicts."""

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
import pytest
import yaml

from examples.study.coders import CODERS, answers_of, truth_of
from examples.study.platform import LOST
from examples.study.story import GENRES, LINES, StudyClip, accounts, clips
from tests.conftest import ROOT
from tikval.claims.verdict import Verdict
from tikval.config.claims import ClaimsConfig
from tikval.hub.bundled import cached_folder
from tikval.spreadsheet import cell_text
from tikval.store.runs import Study
from tikval.values import SLUGS

EXAMPLE: Final = ROOT / "examples" / "study"
KNOWN: Final = {
    "hedonism_is_of_food": Verdict.HOLDS,
    "achievement_is_of_sports": Verdict.DEPENDS,
    "caring_is_of_sports": Verdict.NOT_SHOWN,
    "tradition_is_of_food": Verdict.TOO_FEW_LABELS,
    "minors_are_kept_safe": Verdict.TOO_FEW_ACCOUNTS,
    "rules_are_broken_in_sports": Verdict.NOT_DECLARED,
}
STORY: Final = {clip.video_id: clip for clip in clips()}


def families() -> dict[str, ClaimsConfig]:
    files = (EXAMPLE / "claims.yaml", EXAMPLE / "afterthought.yaml")
    found = [ClaimsConfig.model_validate(yaml.safe_load(file.read_text())) for file in files]
    return {one.name: one for one in found}


def test_the_genres_differ_as_the_story_states() -> None:
    assert len(STORY) == 48
    counts = Counter((clip.genre, label) for clip in STORY.values() for label in clip.conveys)
    stated = {
        "hedonism+": (18, 8),
        "achievement+": (6, 16),
        "benevolence_caring+": (10, 8),
        "tradition+": (3, 0),
    }
    stated |= {"conformity_rules-": (0, 4), "security_personal+": (6, 6)}
    assert {label: tuple(counts[genre, label] for genre in GENRES) for label in stated} == stated
    assert {label for _, label in counts} == set(stated) <= set(LINES)


def test_there_is_a_claim_for_every_verdict() -> None:
    assert {name for one in families().values() for name in one.claims} == set(KNOWN)
    assert set(KNOWN.values()) == set(Verdict)


def test_every_account_has_two_posts_and_those_that_lose_one_exist() -> None:
    names = Counter(clip.account for clip in STORY.values())
    assert set(names.values()) == {2}
    assert set(names) == {name for name, _, _ in accounts()} >= set(LOST)
    assert len(STORY) == len({clip.video_id for clip in STORY.values()})


def rate_of_errors(coder: str, absent: bool) -> float:
    cells = [
        (answers_of(coder, clip)[slug] != word)
        for clip in STORY.values()
        for slug, word in truth_of(clip).items()
        if (word == "absent") == absent
    ]
    return sum(cells) / len(cells)


def test_coders_err_as_often_as_stated() -> None:
    for coder, errors in CODERS.items():
        assert rate_of_errors(coder, absent=True) == pytest.approx(errors.sees, abs=0.01)
        assert rate_of_errors(coder, absent=False) == pytest.approx(errors.misses, abs=0.06)


def gwet_ac1(pairs: list[tuple[str, str]], categories: int) -> float:
    """AC1 of two raters without missing answers (Gwet 2008, equations 2 and 5)."""
    observed = sum(a == b for a, b in pairs) / len(pairs)
    given = Counter(word for pair in pairs for word in pair)
    shares = [n / (2 * len(pairs)) for n in given.values()]
    chance = sum(q * (1 - q) for q in shares) / (categories - 1)
    return (observed - chance) / (1 - chance)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole of run.sh, as `make study` runs it."""
    folder = tmp_path_factory.mktemp("example") / "study"
    done = subprocess.run(
        [str(EXAMPLE / "run.sh"), str(folder)],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "all as stated" in done.stdout, "the bundle"
    return folder


def merged(out: Path, name: str) -> list[dict[str, str]]:
    with (out / "coding" / "merged" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def drawn(out: Path) -> list[StudyClip]:
    with (out / "coders.csv").open(newline="") as file:
        return [STORY[cell_text(line["video_id"])] for line in csv.DictReader(file)]


pages = pytest.mark.skipif(cached_folder() is None, reason="the text encoder is not here")


@pages
@pytest.mark.full
@pytest.mark.ray
@pytest.mark.local_models
@pytest.mark.timeout(1500)
def test_the_whole_study(out: Path) -> None:
    study = Study(str(out / "results"))
    rows = [
        row
        for name in families()
        for row in pq.read_table(f"{study.out}/claims/{name}/claims.parquet").to_pylist()
    ]
    assert {row["claim"]: Verdict(row["verdict"]) for row in rows} == KNOWN

    sample = drawn(out)
    answers = {
        coder: [word for clip in sample for word in answers_of(coder, clip).values()] for coder in CODERS
    }
    pairs = list(zip(*answers.values(), strict=True))
    assert len(pairs) == 40 * len(SLUGS)
    (line,) = (
        line
        for line in merged(out, "agreement.csv")
        if line["what"] == "coders"
        and (line["coding"], line["stance"], line["value"], line["annotators"])
        == ("three_way", "all", "all", "ann & bob")
    )
    assert float(line["ac1"]) == pytest.approx(gwet_ac1(pairs, 3), abs=5e-4)

    disputed = sum(a != b for a, b in pairs)
    assert len(merged(out, "disagreements.csv")) == disputed
    wrong = [
        (line["video_id"], slug)
        for line in merged(out, "labels.csv")
        for slug, word in truth_of(STORY[cell_text(line["video_id"])]).items()
        if line[slug] != word
    ]
    both = sum(a == b != word for a, b, word in zip(*answers.values(), _truth(sample), strict=True))
    assert len(wrong) == both, "the third is right, so only errors that both make are left"


def _truth(sample: list[StudyClip]) -> list[str]:
    return [word for clip in sample for word in truth_of(clip).values()]
