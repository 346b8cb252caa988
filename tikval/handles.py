"""Where a text names somebody by a handle, in the spellings of platforms, people and readers of pictures.

Texts come folded (tikval/privacy.py): in lower case, compatible letters as one, invisible ones out. docs/privacy.md has
the rules in words.
"""

import re
from collections.abc import Iterator
from typing import Final

_BEFORE: Final = 48  # letters before an @ that say what it means

# Marks that belong to the letter before them, and second halves of Korean and half-width Japanese letters.
MARKS: Final = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0711-\u07fd"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ece\u0f18-\u0f84\u102b-\u109d\u1161-\u11ff"
    "\u17b6-\u17d3\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f\uff9e\uff9f"
)

LETTER: Final = rf"[\w{MARKS}]"
_NAME: Final = rf"{LETTER}++(?:[.\-\u2010]++{LETTER}++)*+"  # what stands behind an @: dots and hyphens inside
_EDGE: Final = rf"(?<!{LETTER})"

# Words after "@ " that make it "at", and words after "insta: " that begin a sentence: these are no names.
_ORDINARY: Final = frozenset(
    "the a an my your his her our their its this that these those it i we he she they you me us him them all any some "
    "every each least most once first last next home work school uni university college church gym office beach park "
    "mall store shop bar cafe club hotel airport hospital library court sea night noon midnight dawn dusk sunrise "
    "sunset lunch dinner breakfast now today tomorrow tonight everyone everybody anyone everything here there what "
    "which where who how why when if is are was no not new yes and or in on of to for with from at by as but so "
    "localhost someone live shop studio lite music video videos made check see watch follow subscribe more soon below "
    "bio link".split()
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
_OWNER: Final = rf"{_EDGE}(?:(?P<short>{_SHORT})|{_LONG})(?!{LETTER}){_FILLERS}"
_OWNED: Final = rf"(?P<name>(?!(?:{_SHORT}|{_LONG})(?!{LETTER})){_NAME})"
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
_WORD_BEFORE: Final = re.compile(rf"(?:{LETTER}|[)\]}}+%$€£°'’&])[^\S\n]*\Z")  # noqa: RUF001
_LETTER_BEFORE: Final = re.compile(rf"{LETTER}\Z")
_MINUTES: Final = re.compile(r":\d")
_NAME_WITH_NUMBER: Final = re.compile(r"[^\W\d]{3,}\d+")
_DOTTED: Final = re.compile(r"\w{2,}(?:\.\w{2,})+")
_HANDLE_BEFORE: Final = re.compile(rf"{_EDGE}@{_NAME}\Z")

_EMOJI: Final = r"\u2600-\u27bf\U0001f300-\U0001faff"
_POINTER: Final = (
    r":;=>|\u2190-\u21ff\u2794-\u27bf\U0001f446-\U0001f449\U0001f3fb-\U0001f3ff"  # arrows, fingers
)
_AT: Final = re.compile(rf"[@©](?P<gap>\s{{0,3}})[.\-{_EMOJI}]*(?P<name>{_NAME})")  # ©: how @ is misread
# `ig: name`, `TikTok - name`; the name is the whole of what stands there, or looks like one
_AFTER_COLON: Final = re.compile(
    rf"{_OWNER}(?:\s*+[{_POINTER}]++\s*+|\s++[-–—~]++\s++){_OWNED}"  # noqa: RUF001
    rf"(?P<ends>\W*(?:$|[\n,;|/&)\]\"'•]|(?:and|und)\b))?"
)
# `TikTok jane_doe99`, `TikTok d jane_doe99`: an @ that recognition lost, or read as another letter
_AFTER_OWNER: Final = re.compile(rf"{_OWNER}\s++(?:[^\w\s]?\w?\s++)?{_OWNED}(?P<ends>\W*$)?", re.MULTILINE)
_CREDITED_NAME: Final = re.compile(
    rf"{_EDGE}(?:(?:{_CREDIT})\s?[:\-–]\s*+|(?:follow|tag|dm)\s++(?:me\s++)?|[\U0001f4f7\U0001f4f8\U0001f47b]\s*+:?\s*+)"  # noqa: RUF001
    rf"(?P<name>{_NAME})"
)
_NAME_ON_PLATFORM: Final = re.compile(
    rf"(?<![.\-])(?<!{LETTER})(?P<name>{_NAME})\s(?:on|@|auf|en|sur)\s?(?:{_SHORT}|{_LONG})(?!{LETTER})"
)
_LOGO: Final = r"(?:t?[il1]k\s?t[o0a]k|douyin|抖音|kwai|快手|likee|lemon8|小红书)"
_JUNK: Final = r"[^\w\n@]*+(?:\w{1,2}[^\S\n]++[^\w\n@]*+)?"  # what a logo, or its @, is misread as
_UNDER_LOGO: Final = re.compile(
    rf"^{_JUNK}{_LOGO}[^\w\n@]*+\n{_JUNK}(?P<name>(?:{LETTER}+[^\S\n]+(?=\S*[\d_]))?{_NAME})\W*?$",
    re.MULTILINE,
)
_LINK: Final = re.compile(
    r"(?<![\w-])(?:(?:tiktok|youtube|threads|instagram|twitter|facebook|fb|snapchat|twitch|linktr|pinterest|patreon|"
    r"onlyfans|ko-fi|beacons|t|wa|vk|x|paypal|cash|reddit|soundcloud|linkedin|bsky|likee|kwai)"
    r"\.(?:com|net|tv|ee|me|ai|app|video|social)|linktree)"
    rf"\s?/\s?(?:(?:add|c|user|u|in|profile|stories|channel)/)?(?:[@$]|%40)?(?P<name>{_NAME})"
)
_NO_PROFILE: Final = frozenset(
    "p r reel reels explore watch shorts share hashtag tag search music video videos tv t s discover login status "
    "embed foryou following upload about legal privacy help i joinchat addstickers playlist results feed "
    "live com".split()
)
_LONE: Final = re.compile(rf"{_JUNK}(?P<name>{_NAME})\W*")
_LOGO_AND_NAME: Final = re.compile(rf"{_JUNK}{_LOGO}\s++{_JUNK}(?P<name>{_NAME})\W*")
_LOGO_ALONE: Final = re.compile(rf"{_JUNK}{_LOGO}\W*")


def find_names(view: str) -> Iterator[tuple[int, int]]:
    """Where names stand in a text that was folded, in no order; they may overlap."""
    handle_ends = -1
    for found in _AT.finditer(view):
        if _is_handle(view, found, behind_another=found.start() == handle_ends):
            handle_ends = found.end()
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
    for pattern in (_CREDITED_NAME, _NAME_ON_PLATFORM):
        for found in pattern.finditer(view):
            if "_" in found["name"]:
                yield found.span("name")
    for found in _UNDER_LOGO.finditer(view):
        if _may_name(found["name"]):
            yield found.span("name")
    for found in _LINK.finditer(view):
        if found["name"] not in _NO_PROFILE:
            yield found.span("name")


def _is_handle(view: str, found: re.Match[str], behind_another: bool) -> bool:
    """Whether the @ and the word behind it name somebody, or the @ means "at".

    `behind_another`: a handle ends where this one begins, whatever stands between its @ and its name.
    """
    before, name = view[max(0, found.start() - _BEFORE) : found.start()], found["name"]
    spaced, glued = bool(found["gap"]), bool(_LETTER_BEFORE.search(before))
    if found[0][0] == "©":
        return "_" in name
    if _NUMBER.fullmatch(name):
        at = spaced or glued or _TIME_OR_PRICE.match(name) or _AFTER_NUMBER.search(before)
        return not at and not _MINUTES.match(view, found.end())
    if spaced:
        begins = not _WORD_BEFORE.search(before)
        named = begins or "." in name or _looks_like_a_name(name) or bool(_CREDITED.search(before))
        return named and name not in _ORDINARY
    if not glued or _SURELY_CREDITED.search(before):
        return True
    if _HOST.fullmatch(name) or name in _ORDINARY:
        return False  # an e-mail address, pizza@home
    named = "_" in name or bool(_NAME_WITH_NUMBER.fullmatch(name))
    return named or behind_another or bool(_HANDLE_BEFORE.search(before))


def _looks_like_a_name(name: str, least: int = 2) -> bool:
    """Whether a word has what words of a language have not: an underscore, or letters with digits."""
    if _NUMBER.fullmatch(name):
        return False
    mixed = len(name) >= least and bool(re.search(r"\d", name) and re.search(r"[^\W\d_]", name))
    return mixed or "_" in name


def _may_name(name: str) -> bool:
    return name not in _ORDINARY and not _NUMBER.fullmatch(name) and not _PLATFORM.fullmatch(name)


def is_lone_name(view: str, under_logo: bool = False, with_logo: bool = False) -> bool:
    """Whether text on the screen is a single word that names somebody: behind a logo, under one, or by its form.

    `with_logo`: one stands somewhere in the video; then letters with digits are a name, and not covid19.
    """
    if (marked := _LOGO_AND_NAME.fullmatch(view)) and _may_name(marked["name"]):
        return True
    if not (lone := _LONE.fullmatch(view)) or not _may_name(lone["name"]):
        return False
    name = lone["name"]
    by_form = "_" in name or (_DOTTED.fullmatch(name) is not None and not _DOMAIN.search(name))
    return under_logo or by_form or (with_logo and _looks_like_a_name(name, least=6))


def has_logo(view: str) -> bool:
    """Whether a platform that prints names under its logo is named."""
    return re.search(_LOGO, view) is not None


def is_logo(view: str) -> bool:
    """Whether a block of text on the screen is such a logo, and nothing else."""
    return _LOGO_ALONE.fullmatch(view) is not None
