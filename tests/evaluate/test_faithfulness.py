"""Scripts against what was heard: cases with known answers, the job's folder, and sheets that come back."""

import csv
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.rows import script, video
from tikval.annotate.rating_sheets import (
    COLUMNS,
    Rating,
    SheetLine,
    is_untouched,
    rating_agreement,
    read_sheet,
    without,
    write_sheet,
)
from tikval.annotate.script_ratings import SHEETS, check_faithfulness
from tikval.config import CatalogConfig, FaithfulnessConfig, LocalWriter, ScriptConfig, UserError
from tikval.evaluate.faithfulness import MAX_QUOTES, MAX_WORDS, ScriptComparison, compare_scripts, summarise
from tikval.files import read_parquet, write_table
from tikval.rows import FaithfulnessRow, Reason, ScriptRow, VideoRow, arrow_schema
from tikval.store.folder import Folder

HEAD = "Genre: Comedy\nSound: Yes\n\n"
HEARD = HEAD + '[THREE HOURS LATER]\nSPEAKER: "I finally made it all by myself."\nSPEAKER: "Come and look."\n'


def against(written: str, heard: str = HEARD, quote_share: float = 0.5) -> ScriptComparison:
    return compare_scripts(HEAD + written, heard, quote_share)


# words


def test_a_perfect_script() -> None:
    found = against(
        "A kitchen, full of bowls.\n[THREE HOURS LATER]\n"
        'WOMAN IN APRON: "I finally made it all by myself."\n'
        'WOMAN IN APRON (laughing): "Come and look."'
    )
    assert found == ScriptComparison(10, 1.0, 3, 1.0, 2, (), False)


def test_a_script_that_misses_half_of_the_words() -> None:
    found = against('WOMAN: "I finally made it all"')
    assert (found.said_share, found.shown_share, found.unheard) == (0.5, 0.0, ())


def test_words_count_in_their_order() -> None:
    heard = HEAD + 'SPEAKER: "one two three four"'
    assert against('A: "four three two one"', heard).said_share == 0.25
    assert against('A: "three four"\nB: "one two"', heard).said_share == 0.5


def test_captions_count_anywhere() -> None:
    heard = HEAD + "[HELLO KITTY SHIRT]\n[MY NEW]"
    for written in (
        "[MY NEW HELLO KITTY SHIRT]",
        'GIRL: "My new shirt: hello, kitty!"',
        "[my]\n[new kitty] [Hello shirt]",
    ):
        found = against(written, heard)
        assert (found.words_said, found.said_share, found.words_shown, found.shown_share) == (0, None, 5, 1.0)
    assert against("[MY NEW CAR]", heard).shown_share == 0.4


def test_speech_that_the_script_shows_as_a_caption_is_there() -> None:
    assert against("[I finally made it all by myself. Come and look]").said_share == 1.0


def test_what_a_script_only_describes_is_not_spoken() -> None:
    assert against("I finally made it all by myself. Come and look. Three hours later.").said_share == 0.0


def test_small_errors_of_recognition() -> None:
    heard = HEAD + '[THREE HOURS LATFR]\nSPEAKER: "dont bring these shirt to grandmothers hause"'
    found = against('[THREE HOURS LATER]\nA: "Don\u2019t bring these shirts to Grandmother\'s house!"', heard)
    assert (found.said_share, found.shown_share) == (1.0, 1.0)
    short = HEAD + 'SPEAKER: "hat were cot"'  # of short words one letter makes another word
    assert against('A: "cat here cut"', short).said_share == 0.0


def test_nothing_was_heard_or_read() -> None:
    silent = against('MAN: "This is what he sings"', HEAD)
    assert silent == ScriptComparison(0, None, 0, None, 1, None, False)
    assert against("He dances.", HEAD) == ScriptComparison(0, None, 0, None, 0, (), False)


def test_an_empty_script() -> None:
    assert against("") == ScriptComparison(10, 0.0, 3, 0.0, 0, (), False)


def test_header_lines_are_no_speech() -> None:
    heard = HEAD + 'SPEAKER: "comedy yes vertical"'
    assert (
        compare_scripts("**Genre:** Comedy\nSOUND: Yes\nPicture: vertical\n\nA room.", heard, 0.5).said_share
        == 0.0
    )


def test_the_recognisers_english_was_not_spoken() -> None:
    heard = f'{HEAD}SPEAKER (DE): "Guten Morgen liebe Oma"\nTRANSLATED: "Good morning dear grandma"'
    assert compare_scripts(f'{HEAD}GIRL: "Guten Morgen liebe Oma"', heard, 0.5).words_said == 4


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("Größe zählt nicht, sagt STRASSE", "größe ZÄHLT nicht sagt Straße"),
        ("今日は晴れです", "今日は晴れです。"),
        ("สวัสดีครับ", "สวัสดีครับ"),
        ("मैं घर जा रहा हूँ", "मैं घर जा रहा हूँ।"),
        ("أنا ذاهب إلى البيت", "أنا ذاهب إلى البيت"),
        ("cafe\u0301 por favor", "CAFÉ por favor"),
    ],
)
def test_other_languages(written: str, heard: str) -> None:
    found = against(f"ПЕВИЦА: “{written}”", f'{HEAD}SPEAKER: "{heard}"')
    assert (found.said_share, found.quotes, found.unheard) == (1.0, 1, ())
    assert against('A: "nothing of it"', f'{HEAD}SPEAKER: "{heard}"').said_share == 0.0


def test_a_language_without_spaces_counts_by_character() -> None:
    assert against('A: "今日は雨です"', HEAD + 'SPEAKER: "今日は晴れです"').said_share == pytest.approx(5 / 7)


# quotes


def test_an_invented_quote() -> None:
    found = against(
        'WOMAN: "I finally made it!"\nMAN: "Nobody ever\nwanted your  bowls."\nMAN: "Come and look."'
    )
    assert (found.quotes, found.unheard) == (3, ("Nobody ever wanted your bowls.",))


def test_a_quote_that_can_be_read_was_not_invented() -> None:
    assert against('A sign says "Three hours later".').unheard == ()


def test_the_share_of_a_quote_that_must_be_heard() -> None:
    line = 'MAN: "I finally made six blue hats"'  # three of six words
    assert against(line, quote_share=0.5).unheard == ()
    assert len(against(line, quote_share=0.51).unheard or ()) == 1


def test_words_of_a_quote_must_stand_near_one_another_and_in_order() -> None:
    far = "alpha " + "x " * 60 + "beta " + "x " * 60 + "gamma " + "x " * 60 + "delta"
    assert against('A: "alpha beta gamma delta"', f'{HEAD}SPEAKER: "{far}"').unheard == (
        "alpha beta gamma delta",
    )
    near = f'{HEAD}SPEAKER: "{"x " * 97} alpha oh beta uh gamma delta"'
    assert against('A: "alpha beta gamma delta"', near, 1.0).unheard == ()
    assert against('A: "delta gamma beta alpha"', near).unheard == ("delta gamma beta alpha",)


def test_short_lines_and_asides_are_not_judged() -> None:
    found = against(
        'GIRL: "Oh no!"\nGIRL: [giggles] "Yes (mumbled words here) [she laughs out loud]"\nHER: "(whispers)"'
    )
    assert (found.quotes, found.unheard) == (0, ())


def test_a_stray_quotation_mark_ends_with_its_line() -> None:
    found = against('A door 7" wide and a man.\nWOMAN: "I finally made it"\nMAN: "Come and look')
    assert found.quotes == 2
    assert found.unheard == ()
    assert against('MAN: "Come and look\nWOMAN: "I finally made it"').unheard == ()


def test_a_quote_over_several_lines_is_one() -> None:
    found = against('WOMAN: "I finally made it\nall by myself.\nCome and look."\nShe goes.')
    assert (found.said_share, found.quotes, found.unheard) == (1.0, 1, ())


def test_changing_the_script_changes_the_number() -> None:
    assert against('A: "I finally made it all"').said_share != against('A: "I finally made it"').said_share


# any size, any text


@pytest.mark.parametrize(
    "hostile",
    [
        "A: " + '"go ' * 50_000,
        'A: "' + "go " * 100_000 + '"',
        'A: "z y x w v"\n' * 20_000,
        'A: "' + " ".join(f"word{i}" for i in range(100_000)) + '"',
        "[" * 100_000,
        "(" * 100_000,
        "[a] " * 50_000,
        "A:" * 50_000,
        'A: "' + "世" * 100_000,
        'A: "' + "\ufdfa" * 100_000,
        "x" * 1_000_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_hostile_sizes_take_no_time_and_are_told(hostile: str) -> None:
    begin = time.process_time()
    for heard in (hostile, HEARD, hostile[::-1]):
        found = against(hostile, heard)
        assert found.words_said <= MAX_WORDS
        assert found.quotes <= MAX_QUOTES
        assert found.said_share is None or 0 <= found.said_share <= 1
    assert time.process_time() - begin < 20  # what grows with the square of the size takes minutes
    assert against(hostile).cut or len(hostile) <= 100_003


def test_what_is_cut_is_noted() -> None:
    long = 'SPEAKER: "' + "go " * (MAX_WORDS + 1) + '"'
    assert against(long).cut
    assert against("", HEAD + long).cut
    assert against('A: "z y x w"\n' * (MAX_QUOTES + 1)).cut
    assert not against('A: "z y x w"\n' * MAX_QUOTES).cut


@given(st.text(st.characters(), max_size=200), st.text(st.characters(), max_size=200))
def test_any_text_at_all(written: str, heard: str) -> None:
    for text in (written, f'A: "{written}"', f"[{written}]"):
        found = compare_scripts(text, f'SPEAKER: "{heard}"\n[{heard}]', 0.5)
        for share, n in ((found.said_share, found.words_said), (found.shown_share, found.words_shown)):
            assert (share is None) == (n == 0)
            assert share is None or 0 <= share <= 1
        assert len(found.unheard or ()) <= found.quotes


@given(st.lists(st.sampled_from(["one", "two", "three", "hello", "jelly"]), min_size=1, max_size=30))
def test_a_script_has_all_of_its_own_words(words: list[str]) -> None:
    text = f'{HEAD}SPEAKER: "{" ".join(words)}"\n[{" ".join(words)}]'
    found = compare_scripts(text, text, 1.0)
    assert (found.said_share, found.shown_share, found.unheard) == (1.0, 1.0, ())


# summary


def row(video_id: str, **changes: Any) -> FaithfulnessRow:
    made: FaithfulnessRow = {
        "video_id": video_id,
        "row_key": video_id,
        "words_said": 10,
        "said_share": 0.5,
        "words_shown": 0,
        "shown_share": None,
        "quotes": 4,
        "unheard": ["a b c"],
        "error": None,
        "detail": None,
    }
    return made | changes  # type: ignore[return-value]


FAILED = {"words_said": None, "said_share": None, "quotes": None, "unheard": None, "error": "timeout"}
MUTE = {"words_said": 0, "said_share": None, "unheard": None}


def test_summary() -> None:
    rows = [row("a"), row("b", said_share=1.0, quotes=0, unheard=[]), row("c", **FAILED), row("d", **MUTE)]
    found = summarise(rows)
    assert (found.videos, found.failed, found.not_heard, found.shown) == (4, 1, 1, None)
    assert found.spoken is not None
    assert found.spoken == (0.75, None, None, "2 accounts: too few for an interval", 2)
    assert found.unheard == (0.25, None, None, "1 account: too few for an interval", 4)
    assert summarise([]) == summarise([])
    assert summarise([]).spoken is None


def test_intervals_are_over_accounts() -> None:
    rows = [row(f"{i}", said_share=float(i % 2)) for i in range(100)]
    alone = summarise(rows).spoken
    alike = summarise(rows, {f"{i}": f"odd{i % 5}" if i % 2 else f"even{i % 10}" for i in range(100)}).spoken
    few = summarise(rows, {f"{i}": f"{i % 4}" for i in range(100)}).spoken
    assert alone
    assert alike
    assert few
    assert alone.value == alike.value == few.value == 0.5
    assert alone.low is not None
    assert alike.low is not None
    assert 0.38 < alone.low < 0.42
    assert alike.low < 0.2
    assert (few.low, few.high, few.why_none) == (None, None, "4 accounts: too few for an interval")
    assert summarise(rows).spoken == alone


# the job


WORDS = ("apples", "bridges", "candles", "dolphins", "engines", "flowers", "gardens", "hammers", "islands")


def spoken_in(i: int, *more: str) -> str:
    a, b, c = WORDS[i % 9], WORDS[(i + 1) % 9] + str(i), WORDS[(i + 2) % 9] + str(i * 7)
    return HEAD + f'SPEAKER: "{a} {b} {c} number {i * 1001}"\n' + "".join(f"{line}\n" for line in more)


class Study:
    """A catalog, scripts and what was heard, as the jobs write them, of `n` videos by three accounts."""

    def __init__(self, root: Path, n: int = 12) -> None:
        self.out = str(root / "out")
        self.catalog = CatalogConfig(videos="clips", out=self.out)
        self.scripts = ScriptConfig(videos=self.catalog, out=self.out, writer=LocalWriter(max_lost_share=0.1))
        self.heard = ScriptConfig(videos=self.catalog, out=self.out)
        self.fill(n)

    def fill(self, n: int, **changed: dict[str, Any]) -> None:
        ids = [f"video-{i:02}" for i in range(n)]
        catalog = Folder(self.catalog.folder)
        listed = [video(name, account=f"star.{i % 3}") for i, name in enumerate(ids)]
        file = f"data-{n}.parquet"
        write_table(f"{catalog.uri}/{file}", pa.Table.from_pylist(listed, schema=arrow_schema(VideoRow)))
        catalog.write_run(self.catalog, [file], {}, n, {}, 1.0)
        written = [
            script(name, script=spoken_in(i, "[@star.1 and STAR.2]", 'MAN: "nobody ever said so"'))
            for i, name in enumerate(ids)
        ]
        heard = [script(name, script=spoken_in(i)) for i, name in enumerate(ids)]
        self.seal(self.scripts, [cast(ScriptRow, {**r, **changed.get(r["video_id"], {})}) for r in written])
        self.seal(self.heard, heard)

    def seal(self, config: ScriptConfig, rows: Sequence[ScriptRow]) -> None:
        folder = Folder(config.folder)
        folder.remove()
        folder.write_part(pa.Table.from_pylist(list(rows), schema=arrow_schema(ScriptRow)))
        folder.seal(config, {}, 1.0)

    def config(self, **keys: Any) -> FaithfulnessConfig:
        return FaithfulnessConfig(scripts=self.scripts, heard=self.heard, out=self.out, **keys)

    def rows(self, config: FaithfulnessConfig) -> dict[str, FaithfulnessRow]:
        return {row["video_id"]: row for row in Folder(config.folder).read().to_pylist()}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_the_job_compares_every_video(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    config = study.config(sample=None)
    done = check_faithfulness(config)
    assert (done.rows, done.failed) == (12, {})
    rows = study.rows(config)
    assert set(rows) == {f"video-{i:02}" for i in range(12)}
    for found in rows.values():
        assert (found["said_share"], found["quotes"], found["unheard"]) == (1.0, 2, ["nobody ever said so"])
    chance = Folder(config.folder).read_side_table("chance")
    assert {found["video_id"] for found in chance} == set(rows)
    assert max(found["said_share"] for found in chance) < 0.7
    printed = " ".join(capsys.readouterr().out.split())
    assert "Faithfulness of 12 scripts, 0 failed" in printed
    assert "1.00 to 1.00" not in printed, "no interval has no width"
    assert printed.count("3 accounts: too few for an interval") == 1
    assert "24 lines" in printed
    assert "star." not in printed


def test_the_same_command_returns_immediately(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    config = study.config()
    first = check_faithfulness(config)
    printed = capsys.readouterr().out
    assert check_faithfulness(config) == first
    assert capsys.readouterr().out == printed
    study.fill(12)
    again = check_faithfulness(config)
    assert again.inputs != first.inputs
    assert len(list(Path(config.folder).glob("*.parquet"))) == 2


def test_a_failure_is_a_row_and_no_zero(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = {"error": Reason.BLOCKED.value, "detail": "said no", "script": None}
    study.fill(12, **{"video-03": blocked})
    config = study.config(rated=12)
    done = check_faithfulness(config)
    assert done.failed == {"blocked": 1}
    found = study.rows(config)["video-03"]
    assert (found["error"], found["detail"], found["said_share"]) == ("blocked", "script: said no", None)
    assert "Faithfulness of 11 scripts, 1 failed" in capsys.readouterr().out
    assert "video-03" not in {row["video_id"] for row in Folder(config.folder).read_side_table("chance")}
    assert "video-03" not in (Path(config.folder) / SHEETS[0]).read_text()


def test_one_more_video_does_not_reshuffle_the_sample(study: Study) -> None:
    config = study.config(sample=6)
    check_faithfulness(config)
    before = set(study.rows(config))
    study.fill(13)
    check_faithfulness(config)
    assert len(before) == 6
    assert len(before & set(study.rows(config))) >= 5
    other = study.config(sample=6, seed=1)
    check_faithfulness(other)
    assert set(study.rows(other)) != set(study.rows(config))


def test_one_video_has_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_faithfulness(Study(tmp_path, 1).config())
    assert "Faithfulness of 1 scripts" in capsys.readouterr().out


def test_videos_that_were_not_heard_are_left_out_aloud(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.seal(study.heard, [script(f"video-{i:02}", script=spoken_in(i)) for i in range(9)])
    assert check_faithfulness(study.config()).rows == 9
    assert "3 videos have a script and were not heard" in capsys.readouterr().err


def test_progress_of_many(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tikval.evaluate.faithfulness_sample._QUIET", 5)
    check_faithfulness(study.config())
    assert "faithfulness: 12 of 12" in capsys.readouterr().err


def test_what_the_user_can_mend(study: Study, tmp_path: Path) -> None:
    config = study.config()
    elsewhere = study.heard.model_copy(
        update={"videos": CatalogConfig(videos="clips", out=str(tmp_path / "b"))}
    )
    for changed, why in (
        ({"heard": elsewhere}, "different catalogs"),
        ({"heard": study.scripts}, "the same run"),
    ):
        with pytest.raises(UserError, match=why):
            check_faithfulness(config.model_copy(update=changed))
    Folder(study.heard.folder).remove()
    with pytest.raises(UserError, match="not finished"):
        check_faithfulness(config)


# sheets


def cells_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def filled(data: bytes, **ratings: str) -> bytes:
    """A sheet as somebody saves it who gave every video these ratings."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    writer.writerows(cells | ratings for cells in cells_of(data))
    return file.getvalue().encode("utf-8")


GOOD = {"sound": "2", "picture": "1", "captions": "0", "made_up": "no"}


def test_two_sheets_of_the_same_videos(study: Study) -> None:
    config = study.config(rated=8)
    check_faithfulness(config)
    first, second = (cells_of((Path(config.folder) / name).read_bytes()) for name in SHEETS)
    ids = [cells["video_id"] for cells in first]
    assert len(ids) == 8
    assert sorted(ids) == sorted(cells["video_id"] for cells in second)
    assert ids != [cells["video_id"] for cells in second]
    assert tuple(first[0]) == COLUMNS
    for cells in first + second:
        assert "number" in cells["script"]
        assert "\n" in cells["script"]
        assert not any(cells[column] for column in COLUMNS[3:])
        assert cells["file"].endswith(f"{cells['video_id']}.mp4")
        assert "@star" not in str(cells)
    owners = {f"video-{i:02}": f"star.{i % 3}" for i in range(12)}
    assert not [cells for cells in first if owners[cells["video_id"]] in str(cells).lower()]
    assert "made_up" in (Path(config.folder) / "rating.md").read_text()


def test_no_sheets_unless_asked_for(study: Study) -> None:
    config = study.config(rated=0)
    check_faithfulness(config)
    assert not list(Path(config.folder).glob("rat*"))


def test_ratings_come_back(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    config = study.config(rated=4)
    check_faithfulness(config)
    one, other = (Path(config.folder) / name for name in SHEETS)
    one.write_bytes(filled(one.read_bytes(), **GOOD))
    capsys.readouterr()
    check_faithfulness(config)
    assert "rater_1.csv: 4 of 4 videos rated" in capsys.readouterr().out
    rows = cells_of(filled(other.read_bytes(), **GOOD | {"made_up": "Yes, a dog"}))
    for cells in rows[:1]:
        cells |= {"sound": "0"}
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, delimiter=";")  # as a German Excel saves it
    writer.writeheader()
    writer.writerows(rows)
    other.write_bytes(file.getvalue().encode("cp1252"))
    check_faithfulness(config)
    printed = " ".join(capsys.readouterr().out.split())
    for column, first, second, same in (
        ("sound", "2.00", "1.50", "3 of 4"),
        ("picture", "1.00", "1.00", "4 of 4"),
        ("captions", "0.00", "0.00", "4 of 4"),
        ("made_up", "0.00", "1.00", "0 of 4"),
    ):
        assert f"{column} │ {first} │ {second} │ {same}" in printed


@pytest.mark.parametrize("cell", [{"sound": "1"}, {"notes": "cannot open it"}, {"made_up": "no"}])
def test_a_sheet_with_anything_in_it_is_never_written_over(study: Study, cell: dict[str, str]) -> None:
    config = study.config(rated=4)
    check_faithfulness(config)
    one, other = (Path(config.folder) / name for name in SHEETS)
    empty = other.read_bytes()
    one.write_bytes(filled(one.read_bytes(), **cell))
    kept = one.read_bytes()
    study.fill(30)
    assert check_faithfulness(config).rows == 30
    assert (one.read_bytes(), other.read_bytes()) == (kept, empty)


def test_an_empty_sheet_follows_its_scripts(study: Study) -> None:
    config = study.config(rated=30)
    check_faithfulness(config)
    study.fill(20)
    check_faithfulness(config)
    assert len(cells_of((Path(config.folder) / SHEETS[1]).read_bytes())) == 20


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ({"sound": "3"}, "line .*: sound: '3' is not 0, 1 or 2"),
        ({"captions": "two"}, "captions"),
        ({"made_up": "maybe"}, "made_up: 'maybe' does not begin with yes or no"),
    ],
)
def test_what_is_no_rating(study: Study, cell: dict[str, str], why: str) -> None:
    config = study.config(rated=2)
    check_faithfulness(config)
    one = Path(config.folder) / SHEETS[0]
    one.write_bytes(filled(one.read_bytes(), **GOOD | cell))
    kept = one.read_bytes()
    with pytest.raises(UserError, match=f"rater_1.csv: {why}" if why.startswith("line") else why):
        check_faithfulness(config)
    assert one.read_bytes() == kept


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 a workbook", b"video_id,script\na,b\n", b'"' * 200_000])
def test_a_file_that_is_no_sheet_is_kept(study: Study, data: bytes) -> None:
    config = study.config(rated=2)
    check_faithfulness(config)
    one = Path(config.folder) / SHEETS[0]
    one.write_bytes(data)
    with pytest.raises(UserError, match=r"rater_1\.csv"):
        check_faithfulness(config)
    assert one.read_bytes() == data


STRANGE = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\r=x",
    "\uff1d1",
    "plain text",
    'a "b", c;',
    "größe 🙂\nnew line",
)


def test_cells_that_a_spreadsheet_would_run() -> None:
    data = write_sheet([SheetLine(f"v{i}", text, text) for i, text in enumerate(STRANGE)], 1, 0)
    for cells in cells_of(data):
        text = STRANGE[int(cells["video_id"][1:])]
        for column in ("file", "script"):
            assert cells[column][0] not in "=+-@\t\r\n\uff1d"
            assert cells[column].startswith("'") == (text in STRANGE[:7])
            assert not cells[column].startswith("''")
        if text in STRANGE[7:]:
            assert cells["script"] == text
    long = cells_of(write_sheet([SheetLine("a", "", "=x" * 100_000)], 1, 0))[0]["script"]
    assert len(long) < 32_767
    assert long.endswith("(cut here)")


IDS = ("7341895431883967746", "=1+1", "-x", "3-4", "'quoted", "plain", "größe", "_a", "")


def test_every_id_comes_back_as_text() -> None:
    data = write_sheet([SheetLine(name, "", "s") for name in IDS], 2, 0)
    assert sorted(rating.video_id for rating in read_sheet(filled(data, **GOOD))) == sorted(IDS)
    assert not [cells for cells in cells_of(data) if cells["video_id"][:1] in tuple("0123456789=+-@")]


def test_a_video_leaves_the_sheet_and_the_ratings_of_the_others_stay() -> None:
    data = filled(
        write_sheet([SheetLine(name, "", f"script of {name}") for name in ("a", "7", "c")], 1, 0), **GOOD
    )
    left = without(data, {"7", "unknown"})
    assert b"script of 7" not in left
    assert [rating for rating in read_sheet(data) if rating.video_id != "7"] == read_sheet(left)
    with pytest.raises(ValueError, match="no column"):
        without(b"a,b\n", {"7"})


def test_untouched() -> None:
    data = write_sheet([SheetLine("a", "", "s")], 1, 0)
    assert is_untouched(data)
    assert not is_untouched(filled(data, notes="x"))
    assert not is_untouched(b"\xff\xfe")


def test_agreement_counts_what_both_have_rated() -> None:
    def rating(name: str, sound: int | None, made_up: bool | None = None) -> Rating:
        return Rating(name, {"sound": sound, "picture": None, "captions": None}, made_up)

    first = [rating("a", 2, True), rating("b", 0), rating("c", 1), rating("d", None)]
    second = [rating("a", 2, False), rating("b", 1), rating("d", 2), rating("e", 2)]
    assert rating_agreement(first, second) == [("sound", (1.0, 1.5), 1, 2), ("made_up", (1.0, 0.0), 0, 1)]
    assert rating_agreement(first, []) == []


def test_what_erase_must_know(study: Study) -> None:
    """Scripts stand in the sheets, unheard lines in both tables: all of it lies in files of these names."""
    config = study.config(rated=12)
    check_faithfulness(config)
    holding = {
        path.name.partition("-")[0]
        for path in Path(config.folder).iterdir()
        if "video-03"
        in (str(read_parquet(str(path)).to_pylist()) if path.suffix == ".parquet" else path.read_text())
    }
    assert holding == {"data", "_chance", *SHEETS}
