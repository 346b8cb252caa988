"""What coders look at to judge an account: some of its posts, whatever kind of list they come from."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from tikval.config import UserError
from tikval.evaluate.faithfulness_sample import in_random_order
from tikval.evaluate.sample import read_frame
from tikval.privacy import canonical_account, strip_handles
from tikval.rows import AccountRow
from tikval.sources.accounts import spell_alike
from tikval.sources.catalog import read_accounts
from tikval.sources.columns import OF_ACCOUNT, POST
from tikval.sources.exports import read_export
from tikval.sources.tables import is_table, open_table, table_file
from tikval.stats.limits import counted
from tikval.store.runs import Study

_EXPORTS: Final = (".json", ".jsonl", ".ndjson", ".zip")


class AccountMaterial(NamedTuple):
    account: str
    source: str | None  # how it came into the sample
    posts: tuple["AccountPost", ...]  # to look at


class AccountPost(NamedTuple):
    account: str | None
    video_id: str
    pinned: bool
    files: tuple[str, ...]  # paths or addresses, of a post of pictures all of them
    text: str


def account_material(source: str, per_account: int) -> tuple[list[AccountMaterial], list[str]]:
    """Each account of a source once, with up to `per_account` of its posts: pinned ones, then others at random.

    `source`: the folder of a study, posts or videos as `tikval analyze` takes them, or a table of accounts, as `tikval
    accounts suggest` writes it. Also returns what to know of it. Raises UserError where no account is named.
    """
    posts, known = _read(source)
    rows: list[Any] = [
        *({"account": row["account"]} for row in known),
        *({"account": one.account} for one in posts),
    ]
    spelling: dict[str, str] = {}
    spell_alike(rows, spelling)
    if not spelling:
        raise UserError(f"{source}: names no account; a column `account` tells whose a post is")
    sources = {canonical_account(row["account"]): row["source"] for row in reversed(known) if row["source"]}
    of_account: dict[str, list[AccountPost]] = {key: [] for key in spelling}
    for post in posts:
        if post.account and (key := canonical_account(post.account)) in of_account:
            of_account[key].append(post)
    found = []
    for key, name in spelling.items():
        order = sorted(
            of_account[key], key=lambda one: (not one.pinned, in_random_order("accounts", one.video_id))
        )
        found.append(AccountMaterial(name, sources.get(key), tuple(order[:per_account])))
    return found, list(_notes(posts, found))


def _notes(posts: Sequence[AccountPost], found: Sequence[AccountMaterial]) -> Iterator[str]:
    if nobody := sum(1 for post in posts if not canonical_account(post.account or "")):
        yield f"{counted(nobody, 'post')} of which no account is known: left out"
    if without := sum(1 for one in found if not any(post.files for post in one.posts)):
        yield f"{counted(without, 'account')} without a file to look at: coders open the account itself"


def _read(source: str) -> tuple[list[AccountPost], list[AccountRow]]:
    if is_table(source) and _is_of_accounts(source):
        return [], read_accounts(source)
    if (is_table(source) or source.lower().endswith(_EXPORTS)) and (export := read_export(source)):
        return [_of_row(row, ()) for row in export.rows()], []
    frame = read_frame(source)
    videos = frame.videos.to_pylist()
    posts = [_of_row(row, tuple(row["files"] or [row["path"]])) for row in videos]
    return posts, _accounts_of_study(frame.study)


def _accounts_of_study(study: Study | None) -> list[AccountRow]:
    return study.catalog().read_side_table("accounts") if study else []


def _is_of_accounts(source: str) -> bool:
    """Whether a table names accounts and no posts."""
    table = open_table(source)
    post = {name: POST[name] for name in ("path", "video_id")} | {
        "url": ("link", "webpage_url", "tiktok_url")
    }
    return (
        "account" in table.pick(OF_ACCOUNT)
        and not table.pick(post)
        and not table_file(source).endswith(".ndjson")
    )


def _of_row(row: Any, files: Iterable[str]) -> AccountPost:
    """A post as coders see it; handles of others than the account are taken out of its caption."""
    date = f"{row['posted_at']:%Y-%m-%d}" if row["posted_at"] else ""
    text = " ".join(strip_handles(row["caption"] or "").split())
    parts = (date, text or "(no caption)", "" if files else row.get("url") or "")
    return AccountPost(
        row["account"], row["video_id"], bool(row.get("pinned")), tuple(files), " ".join(filter(None, parts))
    )
