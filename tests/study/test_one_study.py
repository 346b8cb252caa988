"""One study of one thing: label sets side by side, what was given stays known, and what shows it says the same."""

import csv
import json
import random
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.offline import OWN, own_codebook, tikval, without_ray
from tests.fixtures.site import Page
from tikval.config import ExtractConfig, ReportConfig, UserError, load_config
from tikval.store.runs import Study
from tikval.study.erasure import erase_videos
from tikval.values import SLUGS

SCHWARTZ = "schwartz-19"
NAMES = tuple(f"v{n}" for n in range(6))


@pytest.fixture(autouse=True)
def fakes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray, and pages without figures, which take seconds, unless a test asks for them."""
    without_ray(monkeypatch)
    if "figures" not in request.node.name:
        monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)


class Place:
    """Six videos of three accounts, and a folder for all that comes out."""

    def __init__(self, root: Path) -> None:
        self.root, self.out, self.videos = root, str(root / "out"), root / "videos.csv"
        self.listed(NAMES)
        self.book = str(own_codebook(root / "moral.yaml"))

    def listed(self, names: tuple[str, ...]) -> None:
        for name in names:
            if not (self.root / f"{name}.mp4").exists():
                (self.root / f"{name}.mp4").write_bytes(b"x")
        lines = [f"{name}.mp4,account{n % 3}" for n, name in enumerate(names)]
        self.videos.write_text("\n".join(["path,account", *lines]))

    def labels(self, file: str, *columns: str, annotators: tuple[str, ...] = ("ann",), turn: int = 0) -> str:
        """Annotations of the first five videos by each annotator."""
        lines = [",".join(["video_id", "annotator", *columns])]
        for a, annotator in enumerate(annotators):
            for n, name in enumerate(NAMES[:5]):
                cells = [str(int((n + v + a + turn) % 3 == 0)) for v in range(len(columns))]
                lines.append(",".join([name, annotator, *cells]))
        (self.root / file).write_text("\n".join(lines))
        return str(self.root / file)

    def analyze(self, *words: str) -> str:
        """Run it; returns what it printed."""
        return tikval("analyze", str(self.videos), "--out", self.out, "--profile", "local", *words).output

    def exported(self, *words: str) -> list[dict[str, Any]]:
        tikval("export", self.out, str(self.root / "values.csv"), *words)
        with (self.root / "values.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_two_codebooks_in_one_folder_stand_side_by_side(folder: Place) -> None:
    folder.analyze()
    folder.analyze("--codebook", folder.book)
    study = Study(folder.out)
    assert [(one.system, one.label_set) for one in study.current()] == [("local", OWN), ("local", SCHWARTZ)]
    assert study.label_set == OWN, "the one that was asked for last"
    assert Study(folder.out, codebook=SCHWARTZ).systems()["local"][0].uri != study.systems()["local"][0].uri
    assert "care" in folder.exported()[0]
    assert folder.exported()[0].keys().isdisjoint(SLUGS)
    assert set(SLUGS) <= folder.exported("--codebook", SCHWARTZ)[0].keys()
    assert set(SLUGS) <= folder.exported("--codebook", "prompts/codebook.yaml")[0].keys()
    assert {"care", "fairness"} <= folder.exported("--codebook", folder.book)[0].keys()


@pytest.mark.parametrize(
    "command",
    [
        ["export", "OUT", "TO.csv"],
        ["prevalence", "OUT"],
        ["figures", "OUT", "TO"],
        ["tables", "OUT"],
        ["agreement", "LABELS", "--systems", "OUT"],
    ],
    ids=lambda command: command[0],
)
def test_what_is_not_picked_is_mentioned(command: list[str], folder: Place) -> None:
    moral = folder.labels("moral.csv", "care", "loyalty")
    ours = folder.labels("ours.csv", "face", "humility")
    folder.analyze("--annotations", moral, "--codebook", folder.book)
    folder.analyze("--annotations", ours)
    places = {"OUT": folder.out, "TO": str(folder.root / "to"), "TO.csv": str(folder.root / "to.csv")}
    for codebook, other, labels in ((SCHWARTZ, OWN, ours), (OWN, SCHWARTZ, moral)):
        words = [labels if word == "LABELS" else places.get(word, word) for word in command]
        shown = tikval(*words, "--codebook", codebook).output
        assert f"also in this folder: 1 system and 5 annotations over {other}" in shown
        assert f"--codebook {other} shows them" in shown
    missing = tikval(*words, "--codebook", "emotions", code=1)
    assert isinstance(missing.exception, UserError)
    assert "nothing over a codebook emotions; there are" in str(missing.exception)


def page_of(printed: str) -> Page:
    """The first page of the report that an analysis has printed."""
    (line,) = (line for line in printed.splitlines() if line.startswith("report: "))
    return Page(Path(line.removeprefix("report: ")).read_text(encoding="utf-8"))


def test_each_label_set_has_its_report_and_they_name_each_other(folder: Place) -> None:
    alone = folder.analyze()
    assert "Also in this folder" not in page_of(alone).words
    other = page_of(folder.analyze("--codebook", folder.book))
    assert f"1 system over {SCHWARTZ}" in other.words
    first = page_of(alone)  # made anew, as there is more to name now
    assert f"1 system over {OWN}" in first.words
    for page, goes_to in ((first, OWN), (other, SCHWARTZ)):
        latest = Study(folder.out, codebook=goes_to).latest("report")
        assert latest is not None
        assert f"../{Path(latest[0].uri).name}/index.html" in page.links


def test_a_setting_that_is_asked_for_again_is_current_again(folder: Place) -> None:
    """It is not computed again, so when it finished tells nothing."""
    setting = ("--set", "scores.predictions.0.extractor.threshold=0.2")
    answers: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for words in ((), setting, ()):
        folder.analyze(*words)
        answers.setdefault(words, folder.exported())
        assert folder.exported() == answers[words]
        check(folder)
    assert answers[()] != answers[setting]


# what was given


def labels_of(folder: Place) -> list[dict[str, Any]]:
    return Study(folder.out).catalog().read_side_table("labels")


def test_a_database_of_what_is_not_annotated_has_no_scores(folder: Place) -> None:
    """Neither of a study without annotations, nor of the codebook of two that nobody has annotated."""
    duckdb = pytest.importorskip("duckdb")

    def tables(*words: str) -> set[str]:
        file = folder.root / f"v{len(list(folder.root.iterdir()))}.duckdb"
        tikval("export", folder.out, str(file), *words)
        with duckdb.connect(str(file), read_only=True) as database:
            return {name for (name,) in database.sql("SHOW TABLES").fetchall()}

    folder.analyze()
    assert tables() == {"values", "long", "columns", "attrition"}
    folder.analyze("--annotations", folder.labels("labels.csv", "face"))
    assert tables() == {"values", "long", "columns", "attrition", "scores"}
    folder.analyze("--codebook", folder.book)
    assert tables("--codebook", OWN) == {"values", "long", "columns", "attrition"}
    assert "scores" in tables("--codebook", "schwartz-19")


def test_what_was_given_once_stays_known(folder: Place) -> None:
    labels = folder.labels("labels.csv", "face", "humility")
    (folder.root / "accounts.csv").write_text("account,is_minor,genre\naccount0,yes,food\n")
    page = page_of(folder.analyze("--annotations", labels, "--accounts", str(folder.root / "accounts.csv")))
    assert "by an earlier command" not in page.words
    run, before = Study(folder.out).catalog().finished(), labels_of(folder)
    again = folder.analyze()
    assert (Study(folder.out).catalog().finished(), labels_of(folder)) == (run, before)
    assert "annotations that are known are used" in again
    words = page_of(again).words
    assert f"Annotations {labels}, read 20" in words
    assert "5 rows (given by an earlier command: a new folder needs them again)" in words
    assert f"Accounts {folder.root / 'accounts.csv'}, read 20" in words
    assert Study(folder.out).catalog().read(["genre"])["genre"][0].as_py() == "food"

    Path(labels).write_text(Path(labels).read_text().replace("v0,ann,1,", "v0,ann,0,"))
    assert "that file has changed since; the rows that were read stay" in page_of(folder.analyze()).words
    assert labels_of(folder) == before
    folder.analyze("--annotations", labels)
    corrected = labels_of(folder)
    assert corrected != before
    Path(labels).unlink()
    assert "that file is gone" in page_of(folder.analyze()).words
    assert labels_of(folder) == corrected
    with_neither = page_of(folder.analyze("--no-annotations", "--no-accounts"))
    assert labels_of(folder) == []
    assert "No annotations were given" in with_neither.words
    assert "Accounts accounts.csv" not in with_neither.words
    assert "known are used" not in folder.analyze(), "taken away is taken away"


def test_annotations_over_each_codebook_are_given_and_taken_away_by_themselves(folder: Place) -> None:
    folder.analyze("--annotations", folder.labels("ours.csv", "face"))
    ours = labels_of(folder)
    own = ("--codebook", folder.book)
    folder.analyze("--annotations", folder.labels("moral.csv", "care", "loyalty"), *own)
    assert [row for row in labels_of(folder) if row["label_set"] == SCHWARTZ] == ours
    assert len(labels_of(folder)) == 2 * len(ours)
    folder.analyze("--no-annotations", *own)
    assert labels_of(folder) == ours
    check(folder)


def test_the_erased_do_not_come_back_with_what_is_known(folder: Place) -> None:
    (folder.root / "accounts.csv").write_text("account,is_minor\naccount0,no\naccount1,yes\n")
    labels = folder.labels("labels.csv", "face")
    folder.analyze("--annotations", labels, "--accounts", str(folder.root / "accounts.csv"))
    erase_videos(folder.out, set(), {"account1"})
    for words in ((), ("--annotations", labels)):
        page = page_of(folder.analyze(*words))
        assert {row["video_id"] for row in labels_of(folder)} == {"v0", "v2", "v3"}
        accounts = Study(folder.out).catalog().read_side_table("accounts")
        assert [row["account"] for row in accounts] == ["account0"]
        assert "v1" not in page.words
    assert not [path for path in Path(folder.out).rglob("*.json") if b"account1" in path.read_bytes()]


def test_a_study_of_an_earlier_version_stays_finished_and_knows_what_it_was_given(folder: Place) -> None:
    labels = folder.labels("labels.csv", "face", "humility")
    folder.analyze("--annotations", labels)
    for path in Path(folder.out).glob("*/*.json"):  # as that version wrote them
        if path.name in ("given.json", "asked.json"):
            path.unlink()
        elif path.name == "run.json":
            run = json.loads(path.read_text())
            run["inputs"] = {key: state for key, state in run["inputs"].items() if not key.endswith("/words")}
            for key in ("asked", "without"):
                run["config"].pop(key, None)
            path.write_text(json.dumps(run))
    before = {path: path.read_bytes() for path in Path(folder.out).glob("*/run.json")}
    folder.analyze("--annotations", labels)
    folder.analyze()
    assert {path: path.read_bytes() for path in Path(folder.out).glob("*/run.json")} == before
    assert len(labels_of(folder)) == 5


# the command


def command_on(page: Page) -> str:
    """What the page says under `Reproduce with`."""
    return page.text.partition("Reproduce with")[2].strip().splitlines()[0]


@pytest.mark.parametrize("profile", ["local", "demo", "gemini", "mistral", "qwen", "omni", "paper"])
def test_the_command_on_the_page_is_the_one_that_was_typed_and_makes_the_same(
    profile: str, folder: Place
) -> None:
    typed = ["analyze", str(folder.videos), "--out", f"{folder.out} of 'mine'", "--profile", profile]
    typed += ["--annotations", folder.labels("my labels.csv", "face"), "--title", "Who's what"]
    typed += [
        "--minors-unknown",
        "send",
        "--budget",
        "5.0",
        "--set",
        "scores.min_share=0.1",
        "--set",
        "videos=3",
    ]
    printed = tikval(*typed).output
    page = page_of(printed)
    assert shlex.split(command_on(page))[:3] == ["tikval", "analyze", str(folder.videos)]
    assert set(shlex.split(command_on(page))) == {"tikval", *typed}
    assert f"Profile {profile} (recipe " in page.words

    def recipes() -> set[str]:
        return {path.name for path in Path(f"{folder.out} of 'mine'").iterdir()}

    before = recipes()
    shutil.rmtree(f"{folder.out} of 'mine'")
    assert command_on(page_of(tikval(*shlex.split(command_on(page))[1:]).output)) == command_on(page)
    assert recipes() == before


EVERY_OPTION = (
    ("--profile", "local", "--profile", "gemini"),
    ("--annotations", "LABELS", "--annotator", "ann"),
    ("--annotations", "LABELS", "--annotated-by", "random"),
    ("--accounts", "ACCOUNTS"),
    ("--no-annotations",),
    ("--no-accounts",),
    ("--codebook", "BOOK"),
    ("--name", "my-own"),
    ("--title", "a 'title' with $HOME and `ls`"),
    ("--show-videos",),
    ("--embeddings", "--set", "embeddings.text=null"),
    ("--budget", "1.5"),
    ("--minors-unknown", "withhold"),
    ("--shard", "3/16"),
    ("--profile", "gemini", "--evidence"),
    ("--profile", "gemini", "--no-evidence"),
    ("--media", "clips"),
    ("--columns", "map.yaml"),
    ("--set", "scores.predictions.0.extractor.threshold=0.1", "--set", "show_accounts=true"),
    ("--profile", "local", "--profile", "gemini", "--set", "gemini:scores.predictions.0.api.tries=2"),
)


def test_the_options_tried_are_all_there_are() -> None:
    from typer.main import get_command

    from tikval.cli.commands import app

    params = get_command(app).commands["analyze"].params  # type: ignore[attr-defined]
    options = {
        word
        for param in params
        if param.param_type_name == "option"
        for word in (param.opts[0], *param.secondary_opts)
    }
    assert options - {"--out"} == {word for words in EVERY_OPTION for word in words if word.startswith("--")}


@pytest.mark.parametrize("words", EVERY_OPTION, ids=lambda words: words[0])
def test_every_option_is_in_the_command_and_leads_to_the_same_configuration(
    words: tuple[str, ...], folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[Any, ...]] = []

    def run(*args: Any, **_: Any) -> int:
        ran.append(args)
        return 0

    monkeypatch.setattr("tikval.cli.analyze.run_study", run)
    places = {"LABELS": folder.labels("l.csv", "face"), "BOOK": folder.book, "ACCOUNTS": str(folder.videos)}
    typed = ["analyze", "--out", folder.out, *(places.get(word, word) for word in words), "--", "-my videos"]
    tikval(*typed)
    config: ReportConfig = ran[0][0]
    assert config.asked is not None
    again = shlex.split(config.asked.command)
    assert sorted(again[1:]) == sorted(typed)
    tikval(*again[1:])
    assert ran[0] == ran[1]
    assert ran[0][0].folder == ran[1][0].folder


def test_evidence_is_asked_for_unless_a_study_has_begun_without_it(
    folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[ReportConfig] = []

    def run(config: ReportConfig, *_: Any, **__: Any) -> int:
        ran.append(config)
        return 0

    monkeypatch.setattr("tikval.cli.analyze.run_study", run)

    def asked(*words: str) -> tuple[ExtractConfig, str, str]:
        printed = tikval(
            "analyze", str(folder.videos), "--out", folder.out, "--profile", "gemini", *words
        ).output
        (system,) = ran[-1].scores.predictions
        assert isinstance(system, ExtractConfig)
        assert ran[-1].asked is not None
        return system, printed, ran[-1].asked.command

    with_it, printed, command = asked()
    assert (with_it.quotes_from, printed) == (with_it.judged, "")
    assert "--no-evidence" not in shlex.split(command)
    assert not asked("--set", "scores.predictions.0.extractor.evidence=false")[0].quotes_from
    old = asked("--no-evidence")[0]
    assert old.fingerprint == load_config(ExtractConfig, "configs/gemini/two_step.yaml", []).fingerprint
    Path(old.folder).mkdir(parents=True)
    (Path(old.folder) / "calls.json").write_text("{}")  # a call has gone
    kept, printed, command = asked()
    assert kept.fingerprint == old.fingerprint
    assert "answers without evidence are there and go on; --evidence asks, and pays" in printed
    assert "--no-evidence" in shlex.split(command)
    again, printed, command = asked("--evidence")
    assert (again.fingerprint, printed) == (with_it.fingerprint, "")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("scores.predictions.0.api.base_url=https://me:hunter2@host/v1", "https://[...]@host/v1"),
        ("title=https://me:hun/ter2@host/v1", "https://[...]@host/v1"),
        ("title=https://host/v1?api_key=hunter2&x=1", "https://host/v1?api_key=[...]&x=1"),
        ("title=s3://bucket/a?X-Amz-Signature=hunter2", "s3://bucket/a?X-Amz-Signature=[...]"),
        ("title=s3://bucket/@jane/a.mp4", "s3://bucket/@jane/a.mp4"),
    ],
)
def test_no_secret_is_in_the_command(typed: str, shown: str) -> None:
    from tikval.files import without_secrets

    assert without_secrets(typed) == f"{typed.partition('=')[0]}={shown}"


# two systems


def test_two_profiles_are_one_study(folder: Place) -> None:
    words = ("--profile", "gemini", "--minors-unknown", "send")
    page = page_of(folder.analyze(*words, "--annotations", folder.labels("labels.csv", "face", "humility")))
    (run,) = (run for one in Study(folder.out).current() if (run := one.run) and one.system != "local")
    assert f"judged by local, {run.config['system']}" in page.words
    shown = tikval("compare", folder.out).output
    assert "macro F1" in shown
    check(folder)


def test_two_settings_of_one_profile_stand_side_by_side_under_names_of_their_own(folder: Place) -> None:
    folder.analyze()
    page = page_of(
        folder.analyze("--name", "strict", "--set", "scores.predictions.0.extractor.threshold=0.2")
    )
    assert "judged by local, strict" in page.words
    assert {line["system"] for line in folder.exported()} == {"local", "strict"}
    shown = tikval("compare", folder.out).output
    assert "nothing is annotated" in shown
    assert "local, strict" in shown
    check(folder)


def test_how_often_two_systems_agree(folder: Place) -> None:
    from tikval.evaluate.corpus import read_system_corpus
    from tikval.evaluate.system_agreement import system_agreements

    folder.analyze()
    folder.analyze("--name", "strict", "--set", "scores.predictions.0.extractor.threshold=0.2")
    study = Study(folder.out)
    (found,) = system_agreements(
        [read_system_corpus(study, name, columns=["video_id"]) for name in ("local", "strict")]
    )
    lines = {(line["system"], line["video_id"]): line for line in folder.exported()}
    rows = {
        name: {row["video_id"]: row["decisions"] for row in study.systems()[name][0].read().to_pylist()}
        for name in ("local", "strict")
    }
    pairs = [
        pair for video in NAMES for pair in zip(rows["local"][video], rows["strict"][video], strict=True)
    ]
    both, one = sum(a and b for a, b in pairs), sum(a != b for a, b in pairs)
    assert (found.n_videos, found.n_labels) == (len(NAMES), 2 * len(SLUGS))
    assert len(lines) == 2 * len(NAMES)
    assert found.observed == pytest.approx(1 - one / len(pairs))
    assert found.positive == pytest.approx(2 * both / (2 * both + one))


def test_names_that_do_not_fit(folder: Place) -> None:
    for words, match in (
        (("--name", "a", "--name", "b"), r"--name: give one name for each of 1 systems \(local\)"),
        (
            ("--profile", "demo", "--set", "demo:scores.predictions.0.extractor.span=3"),
            "two systems are named local",
        ),
        (("--name", "with space"), "system: string should match pattern"),
        (("--annotations", "a.csv", "--no-annotations"), "one of them"),
    ):
        done = tikval("analyze", "x", "--out", folder.out, "--profile", "local", *words, code=1)
        assert isinstance(done.exception, UserError)
        assert re.search(match, str(done.exception))


def test_of_several_annotators_one_is_chosen_before_anything_is_computed(folder: Place) -> None:
    labels = folder.labels("labels.csv", "face", annotators=("ann", "bob"))
    done = tikval("analyze", str(folder.videos), "--out", folder.out, "--annotations", labels, code=2)
    assert "2 annotators (ann, bob)" in done.output
    assert "--annotator" in done.output
    assert not list(Path(folder.out).glob("scripts-*"))
    folder.analyze("--annotations", labels, "--annotator", "bob")
    folder.analyze("--annotator", "ann")
    assert Study(folder.out).annotator() == "ann"
    tikval("prevalence", folder.out, "--system", "local")
    check(folder)


# whatever happens in one folder


def check(folder: Place) -> None:
    """Report, export and tables of every label set say the same."""
    for label_set in Study(folder.out).label_sets:
        study = Study(folder.out, codebook=label_set)
        latest = study.latest("report")
        if latest is None:
            continue
        site, picked = Path(latest[0].uri), ("--codebook", label_set)
        data = json.loads(
            (site / "data" / "videos.js").read_text().partition("tikval.videos = ")[2].rstrip(";\n")
        )
        on_page = {
            (system, video): predicted
            for system, predicted_N in zip(data["systems"], data["said"], strict=True)
            for video, predicted in zip(data["id"], predicted_N, strict=True)
            if predicted is not None
        }
        slugs = data["slugs"]
        exported = {(line["system"], line["video_id"]): line for line in folder.exported(*picked)}
        assert exported.keys() == on_page.keys()
        for key, line in exported.items():
            assert not {*line} - {*slugs} & {*SLUGS, "care"}, "one label set"
            stances = {slug: int(line[slug]) for slug in slugs}
            labels = on_page[key]
            for v, slug in enumerate(slugs):
                shown = {1 for i in labels if i == v} | {-1 for i in labels if i == v + len(slugs)}
                assert stances[slug] in (shown or {0})
        annotated = {row["video_id"] for row in study.annotations()} & set(data["id"])
        assert {
            v for v, labels in zip(data["id"], data["annotated"], strict=True) if labels is not None
        } == annotated
        if (site / "tables").exists():
            tikval("tables", folder.out, "--csv", str(folder.root / "tables"), *picked)
            for table in (site / "tables").glob("*.csv"):
                assert table.read_bytes() == (folder.root / "tables" / table.name).read_bytes(), table.name
        else:
            assert not annotated
            tikval("tables", folder.out, *picked, code=1)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 6))])
def test_in_any_order_report_export_and_tables_say_the_same(seed: int, folder: Place) -> None:
    """Two codebooks, annotators and systems, one more video, one fewer, a corrected label, other files, one folder."""
    rng = random.Random(seed)
    two = ("ann", "bob")
    own = ("--codebook", folder.book)
    annotator = {SCHWARTZ: "ann", OWN: "ann"}
    strict = ("--name", "strict", "--set", "scores.predictions.0.extractor.threshold=0.2")

    def analyze(*words: str, over: str = SCHWARTZ, whose: str | None = None) -> None:
        annotator[over] = whose or annotator[over]
        there = "--annotations" in words or (annotated(over) and "--no-annotations" not in words)
        named = ("--annotator", annotator[over]) if there else ()
        folder.analyze(*words, *named, *(own if over == OWN else ()))

    def annotated(over: str) -> bool:
        if not Path(folder.out).exists():
            return False
        return any(row["label_set"] == over for row in labels_of(folder))

    def lists(names: tuple[str, ...]) -> None:
        folder.listed(names)
        analyze()

    def replaces() -> None:
        for name in NAMES:
            (folder.root / f"{name}.mp4").write_bytes(b"another")
        analyze()

    def corrects() -> None:
        analyze("--annotations", folder.labels("ours.csv", "face", "humility", annotators=two, turn=1))

    steps: list[Callable[[], None]] = [
        lambda: analyze(),
        lambda: analyze(over=OWN),
        lambda: analyze("--annotations", folder.labels("ours.csv", "face", "humility", annotators=two)),
        lambda: analyze(
            "--annotations", folder.labels("moral.csv", "care", "loyalty", annotators=two), over=OWN
        ),
        lambda: analyze(whose="bob"),
        lambda: analyze(*strict),
        lambda: analyze(*strict, over=OWN),
        lambda: lists((*NAMES, "one-more")),
        lambda: lists(NAMES[1:]),
        corrects,
        replaces,
        lambda: analyze("--no-annotations", over=OWN),
    ]
    rng.shuffle(steps)
    for step in steps:
        step()
        check(folder)
