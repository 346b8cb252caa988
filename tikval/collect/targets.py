"""What is to be collected: accounts, posts by their ids or addresses, and short addresses, out of words and tables.

Only addresses of the platforms that are known here are followed: a table comes from others, and may name any machine.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tikval.config import UserError
from tikval.privacy import canonical_account
from tikval.rows import Outcome, PostRow
from tikval.sources.cells import as_text, trimmed
from tikval.sources.columns import ACCOUNT, VIDEO_ID
from tikval.sources.exports.read import read_export
from tikval.sources.ids import RoundedIdError, id_in_cell, post_in
from tikval.sources.tables import InputTable, is_table, open_table, print_note

TIKTOK: Final = "www.tiktok.com"
_HANDLE: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,58}[a-z0-9_])?")  # of a name in canonical spelling
_NUMBER: Final = re.compile(r"\d{15,20}")
_SHORT: Final = re.compile(r"/(?:t/)?(?P<code>[A-Za-z0-9_-]{5,20})/?")
_POST: Final = re.compile(r"/@[^/]*/(?:video|photo)/", re.IGNORECASE)
_SHARED: Final = re.compile(r"/(?:share/|embed/(?:v2/)?|v/)?(?:video/|photo/)?(?P<id>\d{15,20})(?:\.html)?/?")
_OTHERS: Final = {
    "instagram.com": "https://www.instagram.com/reel/{}/",
    "youtube.com": "https://www.youtube.com/shorts/{}",
}
_NOT_THERE: Final = (
    Outcome.DELETED,
    Outcome.PRIVATE,
    Outcome.LIVE,
    Outcome.OTHER_PLATFORM,
    Outcome.INVALID_ROW,
)


@dataclass(frozen=True)
class Target:
    """An account to list, a post to fetch, or a short address that hides one of them."""

    account: str | None = None  # in canonical spelling, without @
    video_id: str | None = None
    url: str | None = None  # where to ask, for what is not TikTok's or is a short address
    pinned: bool | None = None  # of a post: as its list has it

    @property
    def is_listed(self) -> bool:
        """Whether asking it gives posts to fetch, and no file yet."""
        return self.video_id is None

    @property
    def key(self) -> str:
        return self.video_id or self.url or f"@{self.account}"

    @property
    def address(self) -> str:
        """Where it is asked. Ids stand behind any account's name, so `_` serves where none is known."""
        if self.url:
            return self.url
        return f"https://{TIKTOK}/@{self.account or '_'}" + (
            f"/video/{self.video_id}" if self.video_id else ""
        )

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""


def target_in(text: str) -> Target:
    """The target that a word, a cell or an address names. Raises ValueError, saying what is expected."""
    text = trimmed(text)
    if "://" in text or re.match(r"(?:www\.|v[mt]\.)?[\w-]+\.(?:com|be)/", text, re.IGNORECASE):
        return _of_address(text if "://" in text else f"https://{text}")
    if not text.startswith("@") and (post := id_in_cell(text)).video_id != text:
        return Target(_handle(post.account), post.video_id)
    if _NUMBER.fullmatch(text):
        return Target(video_id=text)
    if handle := _handle(text):
        return Target(account=handle)
    raise ValueError(f"{text[:60]!r} is no account, no id of a post and no address of one")


def _of_address(url: str) -> Target:
    parts = urlsplit(url)
    host, path = (parts.hostname or "").lower(), parts.path
    site = ".".join(host.split(".")[-2:])
    if parts.scheme not in ("http", "https") or parts.username or parts.port:
        raise ValueError(f"{url[:60]!r} is no plain https address")
    if host in ("vm.tiktok.com", "vt.tiktok.com") or (site == "tiktok.com" and path.startswith("/t/")):
        if short := _SHORT.fullmatch(path):
            return Target(url=f"https://{host}{'/t' if path.startswith('/t/') else ''}/{short['code']}/")
    elif site in ("tiktok.com", "tiktokv.com"):
        if _POST.match(path) and (post := post_in(f"{host}{path}")):
            return Target(_handle(post.account), post.video_id)
        if shared := _SHARED.fullmatch(path):
            return Target(video_id=shared["id"])
        if (page := re.fullmatch(r"/@([\w.-]+)/?", path)) and (handle := _handle(page[1])):
            return Target(account=handle)
    elif (other := "youtube.com" if site == "youtu.be" else site) in _OTHERS and (post := post_in(url)):
        return Target(_handle(post.account), post.video_id, _OTHERS[other].format(post.video_id))
    raise ValueError(
        f"{url[:100]!r} is not the address of an account or post of TikTok, of a reel (instagram.com/reel/...) "
        "or a short (youtube.com/shorts/...)"
    )


def _handle(name: str | None) -> str | None:
    canonical = canonical_account(name) if name else ""
    return canonical if _HANDLE.fullmatch(canonical) else None


def read_targets(words: Sequence[str]) -> list[Target]:
    """What words name, each once in their order; what a table has beyond is said on stderr.

    A word is an account, an id, an address, an export of posts of any kind that is known, or a table with a column of
    accounts, ids or addresses; a row with both an id and an account is that post. Raises UserError for a word that is
    none of these, and for a table whose ids were rounded.
    """
    targets: dict[str, Target] = {}
    for word in words:
        if (is_table(word) and not word.lower().startswith("http")) or Path(word).is_file():
            found: Iterable[Target] = _in_file(word)
        elif Path(word).is_dir():
            raise UserError(
                f"{word}: a folder; name the table in it, or @{Path(word).name} if an account is meant"
            )
        else:
            try:
                found = [target_in(word)]
            except ValueError as err:
                raise UserError(f"{err}; or name a table that lists them, such as accounts.csv") from err
        for target in found:
            targets.setdefault(target.key, target)
    return list(targets.values())


def _in_file(name: str) -> Iterator[Target]:
    export = read_export(name)
    if export is None:
        yield from _in_table(open_table(name))
        return
    passed: Counter[str] = Counter()
    for row in export.rows():
        target = target_of_post(row)
        if target:
            yield target
        else:
            passed[row["outcome"]] += 1
    print_note(export.line)
    if passed:
        print_note(f"{export.name}: not asked for: " + ", ".join(f"{n} {kind}" for kind, n in passed.items()))


def target_of_post(row: PostRow) -> Target | None:
    """The post of a source's row; None for one that cannot be asked for, or that its source says is gone."""
    if row["outcome"] in _NOT_THERE:
        return None
    for text in (row["url"], row["video_id"]):
        try:
            post = target_in(text or "")
        except ValueError:
            continue
        if post.video_id or (post.url and text == row["url"]):
            return Target(post.account or _handle(row["account"]), post.video_id, post.url, row["pinned"])
    return None


def _in_table(table: InputTable) -> Iterator[Target]:
    columns = table.pick({"video_id": VIDEO_ID, "account": ACCOUNT})
    if not columns and len(table.columns) == 1:
        columns = {"video_id": table.columns[0]}
    if not columns:
        raise UserError(
            f"{table.at()}: no column of accounts, ids or addresses (account, video_id, url, ...)"
        )
    table.say(print_note, columns)
    wrong: list[str] = []
    for line, row in table:
        cell, account = (row.get(columns.get(name, "")) for name in ("video_id", "account"))
        try:
            if cell is not None:
                post = target_in(cell if isinstance(cell, str) else id_in_cell(cell).video_id)
                yield Target(post.account or _handle(as_text(account)), post.video_id, post.url)
            elif account is not None:
                yield target_in(
                    as_text(account) if "/" in as_text(account) else f"@{as_text(account).lstrip('@')}"
                )
        except RoundedIdError as err:
            raise UserError(f"{table.at(line)}: {err}") from err
        except ValueError as err:
            wrong.append(f"line {line}: {err}")
    if wrong:
        print_note(f"{table.name}: {len(wrong)} rows name nothing that can be collected; first {wrong[0]}")
