"""Spellings of handles and accounts: what is taken out, what stays, and what is not caught (docs/privacy.md)."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.captions import draw_text, soft
from tests.fixtures.clips import write_clip
from tests.fixtures.corpus import write_captioned
from tests.fixtures.rows import script as script_row
from tests.fixtures.rows import video
from tikval import privacy
from tikval.ask.video import Asking
from tikval.ask.withheld import Withheld
from tikval.config import (
    Endpoint,
    Limits,
    LocalWriter,
    Look,
    Ocr,
    Speech,
)
from tikval.embed.reading import on_screen_text
from tikval.extract.llm import AskOfScript
from tikval.media.child import Child
from tikval.media.fetch import read_video
from tikval.media.reading import Caption, Want
from tikval.privacy import is_watermark, strip_handles, strip_on_screen
from tikval.report.site.texts import hidden
from tikval.script.llm import clean_script
from tikval.script.local import LocalScripts

# of somebody called jane, jane_doe99 or jane.doe, whose account nobody gave
CAUGHT = [
    "@jane_doe99",
    "@Jane.Doe",
    "@JANE",
    "@@jane",
    ".@jane says hi",
    "(@jane)",
    "@jane's recipe",
    "@_jane_",
    "@.jane.",
    "@jane-doe",
    "@jane\u2010doe",  # a hyphen that is not ASCII
    "@jane\u2011doe",  # one at which no line breaks
    "@ jane_doe99",
    "@ jane",  # a line by itself
    "@  jane",
    "@\u00a0jane",  # a space of another width
    "@\njane_doe99",  # broken over two lines
    "look [@ jane]",
    "hello\n@jane",
    "via\n@jane.doe",
    "Best day ever! @ jane",
    "we went there @ jane_doe99 and ate",
    "TikTok @ jane_doe99",
    "TikTok @jane",
    "tiktok @ jane",
    "TikTok@jane",
    "TIKTOK@JANE.DOE",
    "\uff20jane",  # full width
    "\ufe6bjane",  # small
    "\uff20 jane_doe99",
    "TikTok\uff20jane",
    "@\uff4a\uff41\uff4e\uff45",  # letters of full width
    "@\U0001d423\U0001d41a\U0001d427\U0001d41e",  # mathematical letters
    "@\u24d9\u24d0\u24dd\u24d4",  # letters in circles
    "@\u200bjane",  # a space of no width
    "@\u2060jane",
    "@\ufeffjane",
    "@\u00adjane",
    "@\u202ajane\u202c",
    "@\x00jane",
    "@j\u200ba\u200dn\u00ade",
    "@jane\ufe0f_doe99",
    "\u200b@jane",
    "ig: jane",
    "IG:jane",
    "ig : jane",
    "ig\uff1ajane",  # a colon of full width
    "insta: jane.doe",
    "Insta: jane",
    "snap: jane",
    "sc: jane99",
    "tiktok: jane",
    "TikTok: jane and more",
    "yt: jane",
    "fb: jane",
    "YouTube: jane_doe99 every week",
    "ig - jane",
    "insta \u2013 jane",
    "ig = jane",
    "ig > jane",
    "ig | jane",
    "my insta is jane_doe99",
    "my ig: jane",
    "IG handle: jane",
    "insta name: jane",
    "ig/tiktok: jane",
    "follow me on insta: jane",
    "insta jane_doe99",
    "via@jane",
    "via @jane",
    "via @ jane",
    "by@jane",
    "by @ jane",
    "via@jane.doe",
    "credit: @jane",
    "Credit: @ jane",
    "credits - @ jane",
    "credit: jane_doe99",
    "cr: jane_doe",
    "dc @ jane",
    "thanks @ jane for this",
    "follow @ jane now",
    "follow jane_doe99",
    "photo@jane_doe99",
    "thanks@jane",
    "@jane@jane_doe",
    "tiktok.com/@jane",
    "https://www.tiktok.com/@jane/video/7412345678901234567",
    "instagram.com/jane",
    "https://instagram.com/jane/",
    "instagram.com/stories/jane/12",
    "t.me/jane",
    "youtube.com/@jane",
    "youtube.com/c/jane",
    "snapchat.com/add/jane",
    "linktr.ee/jane",
    "LINKTR.EE/JANE",
    "twitch.tv/jane",
    "x.com/jane/status/1",
    "tiktok.com / @ jane",
    "TikTok\njane_doe99",  # what recognition makes of a watermark: the @ is lost
    "TikTok\njane",
    "TikTok\nd jane_doe",  # or another letter
    "d TikTok\njane",
    "Tik Tok\njane doe99",
    "TikTok\n\u00a9 jane_doe99",
    "TikTok jane_doe99",
    "TikTok d jane_doe99",
    "TikTok jane.doe",
    "\u00a9jane_doe99",
    "@\U0001f525jane",  # an emoji between
    "IG \U0001f449\U0001f3fd jane",
    "IG\u27a1\ufe0fjane",
    "\U0001f4f8 jane_doe99",
    "jane_doe99 on TikTok",
    "ig; jane",
    "tiktok.com/%40jane",
    "тикток: jane",
    "инста: jane",
]
# handles in other scripts, and names of one letter or two
OTHER_NAMES = [
    ("@größe_猫", "@someone"),
    ("@иван_петров", "@someone"),
    ("ТикТок: иван", "ТикТок: @someone"),
    ("@ иван", "@someone"),
    ("@محمد_99", "@someone"),
    ("@\u200fمحمد", "@someone"),
    ("@小红书用户", "@someone"),
    ("抖音号:小红", "抖音号:@someone"),
    ("@प्रिया.शर्मा!", "@someone!"),
    ("@jose\u0301_x ok", "@someone ok"),  # the accent by itself
    ("@jos\u00e9_x ok", "@someone ok"),
    ("@a", "@someone"),
    ("by @ab!", "by @someone!"),
    ("TikTok @ ab", "TikTok @someone"),
    ("ig: ab", "ig: @someone"),
]
# the account is known
OF_ACCOUNT = [
    ("jane_doe99", "jane_doe99"),
    ("JANE_DOE99 bakes", "jane_doe99"),
    ("jane doe99", "jane_doe99"),
    ("Jane Doe 99", "jane_doe99"),
    ("janedoe99", "jane_doe99"),
    ("jane-doe99", "jane_doe99"),
    ("jane.doe99", "@Jane_Doe99 "),
    ("#janedoe99", "jane_doe99"),
    ("jane underscore doe 99", "jane_doe99"),
    ("jane dot doe", "jane.doe"),
    ("\uff4aane_doe99", "jane_doe99"),
    ("ja\u200bne_doe99", "jane_doe99"),
    ("jane\u2060 \u2060doe99", "jane_doe99"),
    ("so good @ jane today", "jane"),
    ("jane_doe99_official", "jane_doe99"),
    ("jane_doe9 9", "jane_doe99"),
    ("jane\u2013doe99", "jane_doe99"),
    ("jane_", "jane_"),
    ("jane_", "jane"),
    ("_jane_", "jane"),
    ("jane_doe99@example.org", "jane_doe99"),
    ("d jane_doe99", "jane_doe99"),
    ("Jane", "\uff2a\uff21\uff2e\uff25"),
]
STAYS = [
    "5 kg @ 3 EUR",
    "5kg@3EUR",
    "10 @ 2.50",
    "10 @2.50",
    "10@2.50",
    "3 x @5",
    "2 @ $5",
    "4k@60fps",
    "1080p @ 60",
    "meet @ 5pm",
    "meet @5pm",
    "meet@5pm",
    "meet @ 5:30pm",
    "meet @10:30",
    "open @ 5pm-7pm",
    "runs @ 100km/h",
    "@ 5pm",
    "@ home",
    "@ the beach with my mum",
    "C++ @ work",
    "chilling @ home",
    "don't @ me",
    "lunch @ noon",
    "concert @ Wembley tonight",
    "dinner @ grandma's",
    "math class @ college",
    "write to joe@example.org",
    "by joe.by@example.org",
    "mailto:info@tiktok.com",
    "joe+news@mail.example.co.uk",
    "root@localhost",
    "sm@rt and tr@uma",
    "@",
    "@ @ @",
    "a @ b",
    "TikTok: the app that everybody has",
    "TikTok made me buy it",
    "I saw it on TikTok today",
    "I love TikTok today.It is fun",
    "on Instagram, Facebook and YouTube",
    "TikTok top 10 of 2024",
    "YouTube 1080p",
    "insta-worthy lunch",
    "TikTok-famous pasta",
    "IG: 5 posts a day",
    "instagram.com/p/Cabc123",
    "instagram.com/reel/Cabc123",
    "youtube.com/watch?v=abc",
    "tiktok.com",
    "a side by side comparison",
    "via Rome",
    "credit: my mum",
    "\u00a9 2024 Example Studios",
    "snap out of it",
    "oh snap",
    "snake_case in Python",
    "raise limits.file_mb, or llm.max_tokens",
    'Genre: Crafts/DIY\nSound: Yes\n\n[RECIPE]\nSPEAKER: "I made it, for you: enjoy."\n',
    "\uff46\uff55\uff4c\uff4c and e\u0301 and \u200b stay as they are",
    "Meine Oma sagt: „Ehrlich währt am längsten“",
    "你好 @ 5点",
]
# Each has its reason in docs/privacy.md.
NOT_CAUGHT = [
    "dinner @ jane tonight",  # between two words: "at"
    "jane_doe99",  # a bare name of an account that nobody gave
    "at jane underscore doe",  # spoken
    "jane (at) tiktok",
    "X: jane",
    "TikTok jane has it",
    "jane.doe@example.org",  # an address
    "hello@jane",  # as sm@rt
    "ⓐjane",
    "\u042f: jane",
]


@pytest.mark.parametrize("text", CAUGHT, ids=ascii)
def test_no_letter_of_a_handle_is_left(text: str) -> None:
    stripped = strip_handles(text)
    assert "@someone" in stripped
    assert not re.search("jane|doe|99", stripped, re.IGNORECASE)
    assert strip_handles(stripped) == stripped


@pytest.mark.parametrize(("text", "stripped"), OTHER_NAMES, ids=ascii)
def test_handles_of_other_scripts_and_short_ones(text: str, stripped: str) -> None:
    assert strip_handles(text) == stripped


@pytest.mark.parametrize(("text", "account"), OF_ACCOUNT, ids=ascii)
def test_the_accounts_own_name_in_any_spelling(text: str, account: str) -> None:
    stripped = strip_handles(text, account)
    assert "@someone" in stripped
    assert not re.search("jane|doe|99", stripped, re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "account", "stripped"),
    [
        ("JOSE\u0301 and Jos\u00e9", "jos\u00e9", "@someone and @someone"),
        ("我是小红书用户", "小红书", "我是@someone用户"),
        ("see you @ ab, ab", "ab", "see you @someone, ab"),
        ("I am a baker", "a", "I am a baker"),
        ("I am here", "i_am", "I am here"),
        ("begin the ending", "in_the_end", "begin the ending"),
        ("STRASSE_1", "straße_1", "@someone"),
        ("annabel is no ann", "ann", "annabel is no @someone"),
        ("ask jane_doe99@example.org", "jane_doe99", "ask @someone@example.org"),
        ("anything", "@", "anything"),
        ("anything", "\u200b", "anything"),
    ],
)
def test_the_accounts_name_and_the_words_around_it(text: str, account: str, stripped: str) -> None:
    assert strip_handles(text, account) == stripped
    assert strip_handles(stripped, account) == stripped


@pytest.mark.parametrize("text", STAYS, ids=ascii)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert strip_handles(text) == text
    assert strip_handles(text, "jane_doe99") == text


@pytest.mark.parametrize("text", NOT_CAUGHT, ids=ascii)
def test_what_is_not_caught(text: str) -> None:
    assert strip_handles(text) == text


word = st.sampled_from("we bake bread in Köln every day, and TikTok 好的 é e\u0301 via by credit".split())
amount = st.sampled_from(["3 EUR", "5pm", "10:30", "2.50", "100 km/h", "5 kg", "60fps", "$5", "7"])
place = st.sampled_from(["@ home", "@ work", "@ the park", "@ my place", "@ noon", "C++ @ work"])
address = st.from_regex(r"\A[a-z]{3,8}(\.[a-z]{2,5})?@[a-z]{3,9}\.(org|com|de)\Z")
at_amount = st.tuples(amount, amount).map(" @ ".join)


@given(st.lists(word | amount | place | address | at_amount, max_size=8).map(" ".join))
def test_a_text_without_handles_stays(text: str) -> None:
    assert strip_handles(text, "jane_doe99") == text


@given(
    st.text("aA1 _.-@\uff20\u200b\u0301:\n/小\u0301")
    | st.lists(word | st.just("@"), max_size=6).map("".join),
    st.none() | st.text("aA1_.-@ 小", max_size=5),
)
def test_stripping_twice_is_stripping_once(text: str, account: str | None) -> None:
    once = strip_handles(text, account)
    assert strip_handles(once, account) == once


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("@.jane@bob", None),
        ("@ jane_1@bob", None),
        ("@\U0001f525jane@bob", None),
        ("ig: jane_d@bob", None),
        ("tiktok.com/jane@bob", None),
        ("jane@bob", "jane"),
        ("@.1@\u0301", None),
    ],
    ids=ascii,
)
def test_a_name_glued_to_another_is_found_however_that_one_was(text: str, account: str | None) -> None:
    stripped = strip_handles(text, account)
    assert stripped.endswith("@someone@someone")
    assert strip_handles(stripped, account) == stripped


def test_names_without_end_take_no_time_without_end() -> None:
    begin = time.process_time()
    for text in ("@.a" * 30_000, "ig: a_b@c " * 10_000, "@ a_1@b" * 15_000):
        strip_handles(text)
    assert time.process_time() - begin < 20


@given(st.text(max_size=60), st.none() | st.text(max_size=8))
def test_any_text_is_taken(text: str, account: str | None) -> None:
    assert isinstance(strip_handles(text, account), str)
    assert len(strip_on_screen([(text, 0.0), (text, 1.0)], account)) == 2


@pytest.mark.parametrize(
    "piece",
    [
        "@ ",
        "@a.",
        "ig ",
        "ig: ",
        "tiktok\n",
        "via ",
        "a@",
        "1",
        "é",
        "\u200b",
        "\n",
        "- ",
        " ",
        "ig  ",
        "a.",
        "a_",
    ],
)
def test_hostile_text_takes_no_minutes(piece: str) -> None:
    begin = time.monotonic()
    strip_handles(piece * 20_000, "jane_doe99")
    strip_handles("ig" + piece * 20_000 + "x", "jane_doe99")
    strip_on_screen([("tiktok" + piece * 20_000, 0.0)], "jane_doe99")
    assert time.monotonic() - begin < 10


# watermarks: blocks of text on the screen


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (["TikTok jane"], [True]),
        (["TikTok d jane"], [True]),
        (["TikTok jane_d0e99"], [True]),
        (["TikTok jane_doe99"], [True]),
        (["jane_doe99"], [True]),  # no word has an underscore
        (["jane.doe"], [True]),
        (["example.com"], [False]),
        (["5.30 p.m."], [False]),
        (["TikTok", "jane"], [False, True]),
        (["d TikTok", "a jane"], [False, True]),
        (["TikTok", "FAMILY FIRST", "jane99"], [False, False, True]),
        (["jane99 bakes", "TikTok"], [False, False]),
        (["TikTok made me buy it"], [False]),
        (["TikTok shop"], [False]),
        (["TikTok", "5"], [False, False]),
        (["HELP"], [False]),
        (["covid19"], [False]),
    ],
)
def test_watermarks_without_an_account(blocks: list[str], expected: list[bool]) -> None:
    shown = strip_on_screen([(block, 1.0) for block in blocks], None)
    assert [text is None for text in shown] == expected


def test_a_word_of_a_later_picture_stands_under_no_logo() -> None:
    assert strip_on_screen([("TikTok", 0.0), ("HOPE", 3.0)], None) == ["TikTok", "HOPE"]


def test_a_line_that_is_a_name_goes_and_its_block_stays() -> None:
    assert strip_on_screen([("HELP FAMILY\njane_doe99", 0.0)], None) == ["HELP FAMILY\n@someone"]


@pytest.mark.parametrize("text", ["d jane_doe9", "JANE DOE99", "doe99", "jane\u200b_doe"])
def test_a_misread_watermark_of_a_known_account(text: str) -> None:
    assert is_watermark(text, "jane_doe99")


@pytest.mark.parametrize("text", ["TikTok", "HELP FAMILY", "do", ""])
def test_what_is_no_watermark(text: str) -> None:
    assert not is_watermark(text, "jane_doe99")


# every way of a text to a model, a page or a sheet

NOBODY = Withheld(np.empty(0, "S16"), np.empty(0, "S16"))


def prompt_of_script(text: str) -> str:
    (asked,) = AskOfScript("P", NOBODY)([script_row("v", script=f'SPEAKER: "Hi {text}"', caption=text)])
    assert asked["prompt"] is not None
    return asked["prompt"]


WAYS: dict[str, Callable[[str], str | None]] = {
    "a script of a model": lambda text: clean_script(f"[{text}]", "jane_doe99"),
    "the prompt with a script of before": prompt_of_script,
    "text for an encoder": lambda text: on_screen_text([Caption(text, 0, 1)], None),
    "a page": lambda text: hidden(text, None),
}


def test_a_watermark_of_several_words_is_one_name() -> None:
    assert strip_on_screen([("@ jane doe", 0.0), ("@ the gym again", 1.0)], None) == [None, "@ the gym again"]


@pytest.mark.parametrize("other", ["jane_doe99", "janedoe99", "jane", "the day\njane_doe9"])
def test_a_name_that_was_read_with_its_at_once_is_known_without_it(other: str) -> None:
    stripped = strip_on_screen([("so good", 0.0), ("@jane_doe99", 1.0), (other, 3.0)], None)
    assert stripped[0] == "so good"
    assert not any("jane" in (text or "") for text in stripped)


@pytest.mark.parametrize("text", ["TikTok @ jane_doe99", "TikTok jane_doe99", "TikTok@jane", "ig: jane"])
@pytest.mark.parametrize("way", WAYS)
def test_no_way_lets_a_name_pass(way: str, text: str) -> None:
    assert "jane" not in (WAYS[way](text) or "")


@pytest.mark.skipif(not shutil.which("tesseract"), reason="no Tesseract")
@pytest.mark.parametrize(
    "drawn",
    ["TikTok @ jane_doe99", "TikTok\n@ jane_doe99", "HELP FAMILY\n@ jane_doe99", "HELP FAMILY\n@ jane"],
)
def test_a_watermark_with_a_space_names_nobody(drawn: str, tmp_path: Path) -> None:
    """As the platform prints it; recognition loses its @ or not. No manifest names the account."""
    path = write_captioned(tmp_path / "a.mp4", drawn)
    row = {**video("a", path=str(path)), "attempt": 1}
    writer = LocalWriter(ocr=Ocr(frames=2), speech=Speech(engine="none"))
    (script,) = LocalScripts(writer, Limits())([row])
    assert script["error"] is None
    assert script["script"] is not None
    assert not re.search("jane|doe", script["script"], re.IGNORECASE)
    assert ("FAMILY" in script["script"]) == ("FAMILY" in drawn)
    read = read_video(Child(Limits()), str(path), Want(ocr_frames=2))
    assert not re.search("jane|doe", on_screen_text(read.captions, None) or "", re.IGNORECASE)


@pytest.mark.skipif(not shutil.which("tesseract"), reason="no Tesseract")
@pytest.mark.parametrize(
    "drawn", ["TikTok\n@ jane_doe99", "TikTok\n@jane", "TikTok\njane", "@ jane", "@jane_doe99", "@ jane doe"]
)
@pytest.mark.parametrize("size", [20, pytest.param(26, marks=pytest.mark.full)])
def test_a_watermark_that_changes_corners_names_nobody(size: int, drawn: str, tmp_path: Path) -> None:
    """It is read wherever it stands, once without its @; and beside a caption that comes word by word."""
    words = ["trust", "the", "long", "way", "home", "friend", "of", "mine"]
    pictures = []
    for at, ground in enumerate(soft(120)):
        x, y = [(0.2, 0.1), (0.8, 0.9), (0.2, 0.9), (0.8, 0.9)][at // 15 % 4]
        mark = drawn.replace("@", "") if at // 15 == 3 else drawn
        marked = draw_text(ground, mark, y, x=x, size=size, outline=None)
        pictures.append(draw_text(marked, words[at // 15], size=36))
    path = write_clip(tmp_path / "a.mp4", width=360, height=640, pictures=pictures)
    writer = LocalWriter(ocr=Ocr(when="changes", languages="installed"), speech=Speech(engine="none"))
    (script,) = LocalScripts(writer, Limits())([{**video("a", path=str(path)), "attempt": 1}])
    assert script["error"] is None
    assert "trust the long way" in (script["script"] or "")
    assert not re.search("jane|doe", script["script"] or "", re.IGNORECASE)


def test_the_prompt_with_pictures_has_no_name_of_the_post(tmp_path: Path) -> None:
    path = write_captioned(tmp_path / "a.mp4", "HELP")
    look = Look(frames=1, speech=Speech(engine="none"))
    row = {**video("a", path=str(path), caption="so good @ jane, ig: bob", account="\uff2aane"), "attempt": 1}
    (asked,) = Asking(Endpoint(model="m"), look, Limits(), "P", NOBODY)([row])
    assert asked["error"] is None
    assert "so good @someone, ig: @someone" in (asked["prompt"] or "")


@given(
    st.sampled_from(["jane_doe99", "mia.cooks", "anna", "bo", "日本", "7up", "_._", "straße"]),
    st.text(alphabet=st.sampled_from("janedo_. 9miack@日本7upstrße🙂\u200b"), max_size=30),
)
def test_a_name_whose_pieces_are_not_there_is_not_looked_for_and_none_is_missed(name: str, text: str) -> None:
    """Making a pattern of each of a million names is what is spared."""
    for given_text in (text, f"{text}{name}", f"{name} {text}"):
        whole = strip_handles(given_text, name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(privacy, "_pieces_are_in", lambda view, account: True)
            assert strip_handles(given_text, name) == whole
