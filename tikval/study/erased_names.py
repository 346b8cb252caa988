"""All names of those who are erased (ids, aliases, spellings of an account), and how texts are searched for them."""

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.files import list_files, read_parquet, read_schema
from tikval.privacy import canonical_account
from tikval.sources.erased import ID_COLUMNS, SOMEONE, still_there
from tikval.sources.ids import name_by_key, post_in
from tikval.store.folder import Folder

NAME_COLUMNS: Final = (*ID_COLUMNS, "account")
_SHORT: Final = 4  # letters; a shorter name is a piece of any text
_DIGITS: Final = 10  # and so is a number of fewer digits
_WORD: Final = 12  # and a word of fewer letters may be meant as a word
_AT_ONCE: Final = 64  # names in one pattern: with many more the engine is ten times slower
_ALNUM: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SEPARATOR: Final = re.compile(rb"[\s\"'<>,;()\[\]{}|=\\\x00-\x1f]")
_URL: Final = "url"
_KEY: Final = "row_key"
_ACCOUNT_IN_URL: Final = r"[/.]tiktok\.com/@(?P<account>[^/?#]+)"
_GOES_ON: Final = re.compile(rb"[A-Za-z0-9_-]")
_ACCOUNT_GOES_ON: Final = re.compile(  # zz.kid is another one than zz; zz.mp4 is a file of zz
    rb"[A-Za-z0-9_-]|\.(?!(?i:mp4|m4v|mov|mkv|webm|avi|wav|mp3|jpe?g|png|json|txt|csv|log|bin|parquet|html?)\b)\w"
)
_ESCAPE: Final = re.compile(rb"(?:\\(?:[nrtbf]|u[0-9A-Fa-f]{4})|%[0-9A-Fa-f]{2})$")  # JSON's and an address's
_RUN: Final = re.compile(rb"\d{%d,}" % _DIGITS)
_ESCAPED_RUN: Final = (
    rf"(?:\\u[0-9A-Fa-f]{{4}}|%[0-9A-Fa-f]{{2}})[0-9]{{{_DIGITS - 4}}}"  # its digits may be two's
)
_OF_A_DOWNLOAD: Final = re.compile(rb"_video_\d")  # @name_video_7412000000000000000.mp4


@dataclass(frozen=True)
class ErasedNames:
    """Who is erased, and all names that the study's tables had before."""

    ids: frozenset[str]  # and aliases
    accounts: frozenset[str]  # in every spelling
    known_ids: frozenset[str] = frozenset()
    known_accounts: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()  # row keys of these videos, as claims name them
    unlisted: frozenset[str] = frozenset()  # ids in tables that no catalog lists: whose they are is not known

    @cached_property
    def _staying(self) -> frozenset[str]:
        """Names that stay: these may hold an erased one."""
        return (self.known_ids | self.known_accounts) - self.ids - self.accounts

    @cached_property
    def vague(self) -> list[str]:
        """Names that are looked for as whole cells and as @mentions only, as others would be found everywhere."""
        return sorted(name for name in self.ids | self.accounts if _is_vague(name))

    @cached_property
    def _numbers(self) -> dict[bytes, list[bytes]]:
        """Ids that are long numbers, each with the longer ones of _needles that it stands in, such as files' names.

        They are found as runs of digits, however many there are; patterns of a hundred thousand would take days.
        """
        found: dict[bytes, list[bytes]] = {
            name.encode(): []
            for name in self.ids
            if name.isascii() and name.isdigit() and not _is_vague(name)
        }
        for needle in self._all_needles:
            for run in _RUN.findall(needle):
                if run in found and run != needle:
                    found[run].append(needle)
        return found

    @cached_property
    def _needles(self) -> dict[bytes, bool]:
        """Those of _all_needles that no number leads to."""
        found = {needle for needles in self._numbers.values() for needle in needles} | self._numbers.keys()
        return {needle: account for needle, account in self._all_needles.items() if needle not in found}

    @cached_property
    def _all_needles(self) -> dict[bytes, bool]:
        """Lower-case bytes that are looked for, and whether they are an account's."""
        found: dict[bytes, bool] = {}
        for names, account in ((self.accounts, True), (self.ids, False)):
            for name in names:
                plain = name.strip().removeprefix("@") if account else name
                if not _is_vague(plain):
                    found |= dict.fromkeys(_spelt(plain), account)
                elif account and plain:
                    found |= dict.fromkeys(_spelt(f"@{plain}"), account)
                else:
                    found |= {
                        f'"video_id":{gap}{json.dumps(plain)}'.lower().encode(): False for gap in ("", " ")
                    }
        return found

    def patterns(self, least_bytes: int = 0) -> list[str]:
        """Regular expressions as Arrow reads them, of any of the names."""
        wanted = sorted(needle for needle in self._needles if len(needle) >= least_bytes)
        groups = (wanted[begin : begin + _AT_ONCE] for begin in range(0, len(wanted), _AT_ONCE))
        return ["(?i)" + "|".join(re.escape(each.decode()) for each in group) for group in groups]

    def mask(self, column: pa.Array | pa.ChunkedArray, least_bytes: int = 0) -> pa.Array:
        """bool [N]: cells of texts in which one of the names may stand; `mentions` tells."""
        hit = pa.chunked_array([pa.array(np.zeros(len(column), bool))])
        for pattern in self.patterns(least_bytes):
            hit = pc.or_(hit, pc.fill_null(pc.match_substring_regex(column, pattern), False))
        return pc.or_(hit, self._with_a_number(column)) if self._numbers else hit

    def _with_a_number(self, column: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
        """bool [N]: cells with a run of digits that is one of the numbers, or that an escape may stand before."""
        hit = np.zeros(len(column), bool)
        may = pc.fill_null(pc.match_substring_regex(column, rf"[0-9]{{{_DIGITS}}}"), False)
        at = np.flatnonzero(
            may.to_numpy(zero_copy_only=False) if isinstance(may, pa.Array) else may.to_numpy()
        )
        cells = column.take(pa.array(at))
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            cells = pa.chunked_array([cells]) if isinstance(cells, pa.Array) else cells
            runs = pc.split_pattern_regex(cells, "[^0-9]+").combine_chunks()
            known = pa.array([number.decode() for number in self._numbers], column.type)
            found = pc.is_in(pc.list_flatten(runs), known)
            hit[at[pc.list_parent_indices(runs).filter(found).to_numpy()]] = True
            hit[at[pc.match_substring_regex(cells, _ESCAPED_RUN).to_numpy()]] = True
        else:
            hit[at] = [bool(list(self._number_hits(cell))) for cell in cells.to_pylist()]
        return pa.chunked_array([pa.array(hit)])

    def _number_hits(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Begin and end of each number that is looked for, and of what is longer and has one in it."""
        for run in _RUN.finditer(text):
            for skip in range(5):  # digits of an escape before it
                begin = run.start() + skip
                number = text[begin : run.end()]
                if number not in self._numbers:
                    continue
                if skip and not _ESCAPE.search(text[max(0, begin - 6) : begin]):
                    continue
                yield begin, run.end()
                for needle in self._numbers[number]:
                    start = begin - needle.index(number)
                    end = start + len(needle)
                    if start >= 0 and text[start:end].lower() == needle:
                        yield start, end

    def equal(self, column: pa.Array | pa.ChunkedArray) -> pa.Array:
        """bool [N]: cells that are one of the names."""
        return pc.is_in(column, pa.array(sorted(self.ids | self.accounts), pa.string()))

    def mentions(self, text: bytes, least_bytes: int = 0) -> list[tuple[int, int, bool]]:
        """Begin and end of each name in a text, and whether it is an account's; names that stay are none."""
        found = []
        for pattern in self._compiled:
            for hit in pattern.finditer(text):
                account = self._needles.get(hit[0].lower(), False)
                if len(hit[0]) >= least_bytes and self._stands_alone(text, *hit.span(), account):
                    found.append((hit.start(), hit.end(), account))
        for begin, end in self._number_hits(text) if self._numbers else ():
            if self._stands_alone(text, begin, end, self._all_needles[text[begin:end].lower()]):
                found.append((begin, end, self._all_needles[text[begin:end].lower()]))
        return sorted(found)

    @cached_property
    def _compiled(self) -> list[re.Pattern[bytes]]:
        longest = sorted(self._needles, key=lambda needle: -len(needle))
        groups = (longest[begin : begin + _AT_ONCE] for begin in range(0, len(longest), _AT_ONCE))
        return [re.compile(b"|".join(map(re.escape, group)), re.IGNORECASE) for group in groups]

    def _stands_alone(self, text: bytes, begin: int, end: int, account: bool) -> bool:
        name = text[begin:end]
        before, after = text[max(0, begin - 1) : begin], text[end : end + 12]
        escaped = _ESCAPE.search(text[max(0, begin - 6) : begin])
        if name.isdigit():
            return bool(escaped or not before.isdigit()) and not after[:1].isdigit()
        if before and not escaped and (before[0] in _ALNUM or before in b"_-"):
            return False
        goes_on = _ACCOUNT_GOES_ON if account else _GOES_ON
        if name[-1:] != b'"' and goes_on.match(after) and not _OF_A_DOWNLOAD.match(after):
            return False
        return not self._stays(text, begin, end)

    def _stays(self, text: bytes, begin: int, end: int) -> bool:
        """Whether the word around is a name that stays, such as the id other/clip where clip is erased."""
        left = text[max(0, begin - 600) : begin]
        left = left[max((m.end() for m in _SEPARATOR.finditer(left)), default=0) :]
        right = _SEPARATOR.split(text[end : end + 600], maxsplit=1)[0]
        word = (left + text[begin:end] + right).decode("utf-8", "replace")
        return word.strip("@.:!?*_/") in self._staying or word in self._staying

    def without_names(self, text: bytes) -> bytes:
        """A text with @someone for each account, and [erased] for each id."""
        parts, place = [], 0
        for begin, end, account in self.mentions(text):
            if begin >= place:
                at = begin - 1 if account and begin > place and text[begin - 1 : begin] == b"@" else begin
                parts += [text[place:at], SOMEONE.encode() if account else b"[erased]"]
                place = end
        return b"".join([*parts, text[place:]])


def _is_vague(name: str) -> bool:
    if name.isdigit():
        return len(name) < _DIGITS
    return len(name) < _SHORT or (name.isalpha() and len(name) < _WORD)


def _spelt(name: str) -> set[bytes]:
    """A name as texts, JSON, HTML and addresses spell it."""
    forms = {unicodedata.normalize(form, name) for form in ("NFC", "NFD")} | {name}
    forms |= {each.lower() for each in forms} | {each.upper() for each in forms}
    forms |= {json.dumps(each)[1:-1] for each in forms} | {html.escape(each) for each in forms}
    forms |= {quote(each) for each in forms} | {quote(each, safe="") for each in forms}
    return {each.encode("utf-8", "backslashreplace").lower() for each in forms}


def find_erased_names(
    out: str, folders: Sequence[Folder], video_ids: set[str], accounts: set[str], items: Iterable[str] = ()
) -> ErasedNames:
    """All names of some videos and accounts, and of those that an erasure which was killed has left.

    `folders`: of the study, finished or not; `items`: what coding folders call videos.
    """
    wanted = set(map(canonical_account, accounts))
    catalogs = list(_named_rows(folder for folder in folders if folder.stage == "catalog"))
    others = list(_named_rows(folder for folder in folders if folder.stage != "catalog"))
    rows = [*catalogs, *others]
    known_accounts = {name for table in rows for name in _unique(table, "account")}
    spelt = accounts | {name for name in known_accounts if canonical_account(name) in wanted}
    ids = set[str]().union(*map(ids_of, video_ids))
    for _ in range(2):  # an alias leads to the id, and that to rows of other tables
        for table in rows:
            ids |= _ids_of(table, ids, spelt)
    listed, known_ids = (
        {name for table in tables for column in ID_COLUMNS for name in _unique(table, column)}
        for tables in (catalogs, rows)
    )
    keys = {key for table in catalogs for key in _row_keys(table, ids)}
    ids |= set(map(name_by_key, keys))
    ids |= still_there(out, {*known_ids, *items})
    return ErasedNames(
        ids=frozenset(ids),
        accounts=frozenset(spelt),
        keys=frozenset(keys),
        known_ids=frozenset({*known_ids, *items}),
        known_accounts=frozenset(known_accounts),
        unlisted=frozenset(known_ids - listed - ids),
    )


def ids_of(name: str) -> set[str]:
    """The ids that a user may mean: what was given, and the post's whose address or file name it is."""
    post = post_in(name)
    return {name, post.video_id} if post else {name}


def _named_rows(folders: Iterable[Folder]) -> Iterator[pa.Table]:
    """The columns of names of every table, as far as it has them."""
    for folder in folders:
        for name in list_files(folder.uri, ".parquet", include_side_tables=True):
            uri = f"{folder.uri}/{name}"
            there = read_schema(uri).names
            columns = [column for column in (*NAME_COLUMNS, _URL) if column in there]
            if columns and folder.stage == "catalog" and _KEY in there:
                columns.append(_KEY)
            if columns:
                yield _with_accounts_of_urls(read_parquet(uri, columns))


def _with_accounts_of_urls(table: pa.Table) -> pa.Table:
    """The table with the account that a post's address names where none stands there: its owner all the same."""
    if _URL not in table.column_names:
        return table
    named = pc.struct_field(pc.extract_regex(table[_URL], _ACCOUNT_IN_URL), "account")
    url = table.column_names.index(_URL)
    if "account" not in table.column_names:
        return table.set_column(url, "account", named)
    account = table.column_names.index("account")
    return table.set_column(account, "account", pc.coalesce(table["account"], named)).remove_column(url)


def _row_keys(table: pa.Table, ids: set[str]) -> list[str]:
    """The row keys of these videos: lists and pages of coders name them so where their ids name somebody."""
    if _KEY not in table.column_names:
        return []
    mine = table.filter(pc.is_in(table["video_id"], pa.array(sorted(ids), pa.string())))
    return [key for key in mine[_KEY].to_pylist() if key]


def _unique(table: pa.Table, column: str) -> list[str]:
    return pc.unique(table[column]).drop_null().to_pylist() if column in table.column_names else []


def _ids_of(table: pa.Table, ids: set[str], accounts: set[str]) -> set[str]:
    """Ids and aliases of a table's rows that have one of these ids, aliases or accounts."""
    columns = [column for column in ("video_id", "alias") if column in table.column_names]
    if not columns:
        return set()
    mask: pa.Array = pa.array([False] * table.num_rows, pa.bool_())
    tests: list[tuple[str, set[str]]] = [(column, ids) for column in columns]
    tests += [("account", accounts)] if "account" in table.column_names else []
    for column, names in tests:
        mask = pc.or_(mask, pc.is_in(table[column], pa.array(sorted(names), pa.string())))
    rows = table.filter(mask)
    return {name for column in columns for name in _unique(rows, column)}
