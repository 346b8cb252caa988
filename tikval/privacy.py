"""People are in these videos: what must not reach a model or a page by default.

docs/privacy.md has the rules in words, with what they do not catch and why.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

_PLACEHOLDER: Final = "@someone"
_SAME_NAME: Final = 0.75  # of the letters of a name and what was read
_BEFORE: Final = 48  # letters before an @ that say what it means

_INVISIBLE: Final = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
)  # and what Unicode calls so
# Marks that belong to the letter before them, and second halves of Korean and half-width Japanese letters.
_MARKS: Final = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0711-\u07fd"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ece\u0f18-\u0f84\u102b-\u109d\u1161-\u11ff"
    "\u17b6-\u17d3\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f\uff9e\uff9f"
)
# Scripts without spaces: a name in them has no word's edge.
_ALONE: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_CLUSTER: Final = re.compile(rf"(?s:.)[{_MARKS}]*")
_PLAIN: Final = re.compile(r"[\t\n\r -~]*")

_W: Final = rf"[\w{_MARKS}]"
_NAME: Final = rf"{_W}++(?:[.\-\u2010]++{_W}++)*"  # what stands behind an @: dots and hyphens inside
_EDGE: Final = rf"(?<!{_W})"

# Words after "@ " that make it "at", and words after "insta: " that begin a sentence: these are no names.
_ORDINARY: Final = frozenset(
    "the a an my your his her our their its this that these those it i we he she they you me us him them all any some "
    "every each least most once first last next home work school uni university college church gym office beach park "
    "mall store shop bar cafe club hotel airport hospital library court sea night noon midnight dawn dusk sunrise "
    "sunset lunch dinner breakfast now today tomorrow tonight everyone everybody anyone everything here there what "
    "which where who how why when if is are was no not new yes and or in on of to for with from at by as but so "
    "localhost someone live shop studio lite music video videos made check see watch follow more link".split()
)
_SHORT: Final = r"ig|insta|snap|sc|yt|tt|fb|tg|тг|инста|抖音号|小红书号|微信号?|快手号"
_LONG: Final = (
    r"tik\s?tok|instagram|snapchat|youtube|facebook|twitter|threads|telegram|twitch|pinterest|discord|reddit|onlyfans|"
    r"bluesky|bsky|cash\s?app|venmo|douyin|kwai|likee|lemon8|тикток|инстаграм|телеграм|ютуб|抖音|快手|小红书|微博"
)
_CREDIT: Final = (
    r"via|by|credits?|cred|cr|dc|ib|thanks|thx|ty|tysm|shoutout|ft|feat|cc|repost|follow|tag|dm|mit|von|por"
)
_FILLERS: Final = (
    r"(?:\s(?:me|us|her|him|them|my|our|to|on|out|is|handle|user|username|name|account|acc|page))*"
)
_OWNER: Final = rf"{_EDGE}(?:(?P<short>{_SHORT})|{_LONG})(?!{_W}){_FILLERS}"
_OWNED: Final = rf"(?P<name>(?!(?:{_SHORT}|{_LONG})(?!{_W})){_NAME})"
_CREDITED: Final = re.compile(
    rf"(?<![\w.+-])(?:{_SHORT}|{_LONG}|{_CREDIT}|creator|artist|source|with|w/|to|from)\b{_FILLERS}\s?[:|\-–]?\s*\Z"  # noqa: RUF001
)
_SURELY_CREDITED: Final = re.compile(
    rf"(?<![\w.+-])(?:{_SHORT}|{_LONG}|{_CREDIT})\Z"
)  # glued to its @: no address
_PLATFORM: Final = re.compile(rf"{_SHORT}|{_LONG}")

_UNIT: Final = (
    r"[ap]m|uhr|k|m|km|kmh|kph|mph|kg|mg|g|lbs?|oz|fps|p|px|k?hz|[mg]hz|eur|usd|gbp|chf|th|st|nd|rd|x|ish|min|mins|"
    r"h|hrs?|s|secs?|ml|cl|l|cm|mm|ft|w|kw|v|mah|[kmgt]b|bpm|rpm|yo|ct|c|f|mp|days?|weeks?|点钟?|時|시|元|円|원"
)
_AMOUNT: Final = rf"\d++(?:[.,]\d++)*+(?:{_UNIT})?"
_NUMBER: Final = re.compile(rf"{_AMOUNT}(?:[-\u2010]{_AMOUNT})*")
_TIME_OR_PRICE: Final = re.compile(r"\d{1,2}(?:[ap]m|uhr)|\d+[.,]\d{1,2}(?:eur|usd)?")
_AFTER_NUMBER: Final = re.compile(rf"\d\s?(?:{_UNIT}|pcs|pieces|stück)?\s*\Z")
_HOST: Final = re.compile(r"(?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,}")
_DOMAIN: Final = re.compile(
    r"\.(?:com|net|org|io|co|uk|de|fr|es|it|ru|eu|tv|me|app|ly|gg|ai|js|py|php|html?)\Z"
)
_WORD_BEFORE: Final = re.compile(rf"(?:{_W}|[)\]}}+%$€£°'’&])[^\S\n]*\Z")  # noqa: RUF001
_HANDLE_BEFORE: Final = re.compile(rf"{_EDGE}@{_NAME}\Z")

_AT: Final = re.compile(rf"[@©](?P<gap>\s{{0,3}})[.\-]*(?P<name>{_NAME})")  # ©: how @ is misread
# `ig: name`, `TikTok - name`; the name is the whole of what stands there, or looks like one
_AFTER_COLON: Final = re.compile(
    rf"{_OWNER}(?:\s*+[:=>→➜|]++\s*+|\s++[-–—~]++\s++){_OWNED}(?P<ends>\W*(?:$|[\n,;|/&)\]\"'•]|(?:and|und)\b))?"  # noqa: RUF001
)
# `TikTok jane_doe99`, `TikTok d jane_doe99`: an @ that recognition lost, or read as another letter
_AFTER_OWNER: Final = re.compile(rf"{_OWNER}\s++(?:[^\w\s]?\w?\s++)?{_OWNED}(?P<ends>\W*$)?", re.MULTILINE)
_CREDITED_NAME: Final = re.compile(
    rf"{_EDGE}(?:(?:{_CREDIT})\s?[:\-–]\s*+|(?:follow|tag|dm)\s++(?:me\s++)?)(?P<name>{_NAME})"  # noqa: RUF001
)
_LOGO: Final = r"(?:t?[il1]k\s?t[o0a]k|douyin|抖音|kwai|快手|likee|lemon8|小红书)"
_JUNK: Final = r"[^\w\n@]*(?:\w{1,2}[^\S\n]+[^\w\n@]*)?"  # what a logo, or its @, is misread as
_UNDER_LOGO: Final = re.compile(
    rf"^{_JUNK}{_LOGO}[^\w\n@]*\n{_JUNK}(?P<name>(?:{_W}+[^\S\n]+(?=\S*[\d_]))?{_NAME})\W*?$", re.MULTILINE
)
_LINK: Final = re.compile(
    r"(?<![\w-])(?:(?:tiktok|youtube|threads|instagram|twitter|facebook|fb|snapchat|twitch|linktr|pinterest|patreon|onlyfans|"
    r"ko-fi|beacons|t|vk|x|paypal|cash|reddit|soundcloud|linkedin|bsky|likee|kwai)\.(?:com|net|tv|ee|me|ai|app|video|"
    rf"social)|linktree)\s?/\s?(?:(?:add|c|user|u|in|profile|stories|channel)/)?[@$]?(?P<name>{_NAME})"
)
_NO_PROFILE: Final = frozenset(
    "p reel reels explore watch shorts share hashtag tag search music video videos tv t s discover login status embed "
    "foryou following upload about legal privacy help i joinchat addstickers playlist results feed live com".split()
)
_LONE: Final = re.compile(rf"{_JUNK}(?P<name>{_NAME})\W*")
_LOGO_AND_NAME: Final = re.compile(rf"{_JUNK}{_LOGO}\s++{_JUNK}(?P<name>{_NAME})\W*")
_LOGO_ALONE: Final = re.compile(rf"{_JUNK}{_LOGO}\W*")
_SPOKEN: Final = r"(?:[\s._\-\u2010]|underscore|dot|dash)*"  # what may stand between the pieces of an account


def canonical_account(name: str) -> str:
    """One spelling of an account for every comparison; never shown.

    Compatible letters are one (full width, ligatures), case and invisible or control characters do not count, nor outer
    spaces and one leading `@`.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in text if not _is_invisible(letter)).strip().removeprefix("@").strip()


def _is_invisible(letter: str) -> bool:
    variation = "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"
    return letter in _INVISIBLE or variation or unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp")


def strip_handles(text: str, account: str | None = None) -> str:
    """Replace handles, and the account's own name where it stands as a word, by `@someone`.

    Platforms print the account into the picture as a watermark, so this applies to recognised text as well as
    to captions. Text without handles is returned as it is, byte for byte; an e-mail address keeps its domain.
    """
    view, starts, ends = _folded(text)
    own = _account_pattern(canonical_account(account)) if account else None
    spans = sorted([*_spans(view), *(found.span() for found in own.finditer(view))] if own else _spans(view))
    parts: list[str] = []
    done = 0  # letters of the view
    kept_from = 0  # letters of the text
    for start, end in spans:
        if start >= done:
            parts += [text[kept_from : starts[start]], _PLACEHOLDER]
        if end > done:
            done, kept_from = end, ends[end - 1]
    return "".join([*parts, text[kept_from:]])


def _folded(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """The text as it is compared, and where each letter of it begins and ends in the text.

    Compatible and composed letters and cases are one, invisible letters are out, white space stays.
    """
    if _PLAIN.fullmatch(text):
        return text.lower(), range(len(text)), range(1, len(text) + 1)
    view, starts, ends = list[str](), list[int](), list[int]()
    for cluster in _CLUSTER.finditer(text):
        letters = _compared(cluster[0])
        view.append(letters)
        starts += [cluster.start()] * len(letters)
        ends += [cluster.end()] * len(letters)
    return "".join(view), starts, ends


@functools.lru_cache(8192)
def _compared(cluster: str) -> str:
    visible = "".join(letter for letter in cluster if letter.isspace() or not _is_invisible(letter))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    return "".join(letter for letter in folded if letter.isspace() or not _is_invisible(letter))


@functools.lru_cache(1024)
def _account_pattern(name: str) -> re.Pattern[str] | None:
    """Where an account stands as a word: its pieces with any joint, or none, between them.

    One or two letters are a name behind an @ only.
    """
    pieces = re.findall(rf"\d+|(?:(?![\d_]){_W})+", name)
    if not pieces:
        return re.compile(re.escape(name)) if len(name) > 2 else None
    letters = "".join(pieces)
    short = len(letters) < (2 if re.match(rf"[{_ALONE}]", letters) else 3)
    joined = _SPOKEN.join(map(re.escape, pieces)) if len(letters) > 4 else re.escape(name.strip("._- "))
    left = "" if re.match(rf"[{_ALONE}]", letters) else rf"(?<!{_W})"
    right = "" if re.search(rf"[{_ALONE}]\Z", letters) else rf"(?!{_W})"
    return re.compile(rf"(?:@\s*[._-]*){'' if short else '?'}{left}_*{joined}_*{right}")


def _spans(view: str) -> Iterator[tuple[int, int]]:
    """Where names stand in a text that was folded, in no order; they may overlap."""
    for found in _AT.finditer(view):
        if _is_handle(view, found):
            yield found.span()
    for found in _AFTER_COLON.finditer(view):
        name, sure = found["name"], found["short"] or found["ends"] is not None
        if _may_name(name) and (sure or _looks_like_a_name(name)):
            yield found.span("name")
    for found in _AFTER_OWNER.finditer(view):
        name = found["name"]
        dotted = "." in name and found["ends"] is not None and not _DOMAIN.search(name)
        if _may_name(name) and (_looks_like_a_name(name, least=6) or dotted):
            yield found.span("name")
    for found in _CREDITED_NAME.finditer(view):
        if "_" in found["name"]:
            yield found.span("name")
    for found in _UNDER_LOGO.finditer(view):
        if _may_name(found["name"]):
            yield found.span("name")
    for found in _LINK.finditer(view):
        if found["name"] not in _NO_PROFILE:
            yield found.span("name")


def _is_handle(view: str, found: re.Match[str]) -> bool:
    """Whether the @ and the word behind it name somebody; it also means "at" (docs/privacy.md has the rule)."""
    before, name = view[max(0, found.start() - _BEFORE) : found.start()], found["name"]
    spaced, glued = bool(found["gap"]), bool(re.search(rf"{_W}\Z", before))
    if found[0][0] == "©":
        return "_" in name
    if _NUMBER.fullmatch(name):
        counted = spaced or glued or _TIME_OR_PRICE.match(name) or _AFTER_NUMBER.search(before)
        return not counted and not re.compile(r":\d").match(view, found.end())
    if not spaced and not glued:
        return True
    if not spaced:
        if _SURELY_CREDITED.search(before):
            return True
        if _HOST.fullmatch(name) or name in _ORDINARY:
            return False  # an e-mail address, pizza@home
        return "_" in name or bool(re.search(r"[^\W\d]{3}\d+\Z", name) or _HANDLE_BEFORE.search(before))
    if name in _ORDINARY:
        return False
    begins = not _WORD_BEFORE.search(before)
    return begins or "." in name or _looks_like_a_name(name) or bool(_CREDITED.search(before))


def _looks_like_a_name(name: str, least: int = 2) -> bool:
    """Whether a word has what words of a language have not: an underscore, or letters with digits."""
    if _NUMBER.fullmatch(name):
        return False
    mixed = len(name) >= least and bool(re.search(r"\d", name) and re.search(r"[^\W\d_]", name))
    return mixed or "_" in name


def _may_name(name: str) -> bool:
    return name not in _ORDINARY and not _NUMBER.fullmatch(name) and not _PLATFORM.fullmatch(name)


def find_watermarks(blocks: Sequence[tuple[str, float]], account: str | None) -> list[bool]:
    """Which blocks of text on the screen are a platform's watermark of a name, or a piece of one.

    `blocks`: texts in the order in which they were read, from top to bottom, with the second that first showed each. A
    platform prints the name under its logo, so a single word under one is a name, whoever the account is.
    """
    logo_is_there = any(re.search(_LOGO, _folded(text)[0]) for text, _ in blocks)
    found, above = list[bool](), ("", -1.0)
    for text, seconds in blocks:
        under_logo = above[1] == seconds and bool(_LOGO_ALONE.fullmatch(above[0]))
        found.append(is_watermark(text, account) or _is_lone_name(text, under_logo, logo_is_there))
        above = (_folded(text)[0], seconds)
    return found


def is_watermark(text: str, account: str | None) -> bool:
    """Whether a recognised text is the account's name or a piece of it, misread letters allowed.

    Recognition breaks watermarks up ("pixel" and "pato" of @pixel_pato), and a piece still names a person.
    """
    read, name = (
        _letters(canonical_account(text)),
        _letters(canonical_account(account or "")),
    )
    if len(read) < 3 or len(name) < 3:
        return False
    return read in name or SequenceMatcher(None, name, read, autojunk=False).ratio() >= _SAME_NAME


def _is_lone_name(text: str, under_logo: bool, logo_is_there: bool) -> bool:
    """Whether a block is a single word that names somebody: behind a logo, under one, or by its form."""
    view = _folded(text)[0]
    if (marked := _LOGO_AND_NAME.fullmatch(view)) and _may_name(marked["name"]):
        return True
    if not (lone := _LONE.fullmatch(view)) or not _may_name(lone["name"]):
        return False
    by_form = "_" in lone["name"] or (logo_is_there and _looks_like_a_name(lone["name"], least=6))
    return under_logo or by_form


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)
