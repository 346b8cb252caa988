"""Accounts that models and surveys name: each list as it came, all as one table that people fill, and the overlap.

A model may name accounts that do not exist, and what it names was perhaps put into its mouth: an entry is a text of
bounded length, which nobody looks up, and which a person has to open before it counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tikval.config import UserError
from tikval.extract.strict_reply import BadReply
from tikval.privacy import canonical_account
from tikval.sources.cells import as_text, number_in
from tikval.sources.columns import OF_ACCOUNT
from tikval.sources.tables import open_table, table_stem

_LONGEST: Final = 100  # characters of an account or a genre
_MOST: Final = 2_000  # accounts in a list
_MAX_CHARACTERS: Final = 500_000  # of a reply
BY_PEOPLE: Final = (
    "genre",
    "is_minor",
    "is_parent_run",
    "checked_by_1",
    "checked_by_2",
)  # columns left empty
# no name of a model or survey is a column's: read_accounts takes a column with "minor" in it for the flag, misspelt
HEADER: Final = (
    *("account", *BY_PEOPLE, "source", "genres_suggested"),
    *("n_models", "n_surveys", "votes", "ranks_by_model", "votes_by_survey"),
)
_VOTES: Final = ("count", "votes", "n", "mentions", "frequency", "freq")
ACCOUNTS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "accounts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"account": {"type": "string"}, "genre": {"type": "string"}},
                "required": ["account", "genre"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["accounts"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class AccountList:
    """The accounts that one model or one survey names, by canonical_account."""

    name: str
    is_survey: bool
    ranks: dict[str, int]  # from 1, in the order of the list, or of the votes
    genres: dict[str, str] = field(default_factory=dict)
    votes: dict[str, int] = field(default_factory=dict)  # of a survey
    not_names: int = 0  # entries that are no account's name, and are left out


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)
    account: str
    genre: str | None = None


class _Reply(BaseModel):
    model_config = ConfigDict(strict=True)
    accounts: list[_Entry] = Field(max_length=_MOST)


def read_suggestions(model: str, reply: str) -> AccountList:
    """The list in a model's reply, which may stand in a ``` fence. Raises BadReply where it is no such list."""
    if len(reply) > _MAX_CHARACTERS:
        raise BadReply(f"{len(reply)} characters; a list has at most {_MAX_CHARACTERS}")
    text = reply.strip()
    if text.startswith("```"):
        text = text.removeprefix("```").removeprefix("json").rstrip().removesuffix("```")
    try:
        entries = _Reply.model_validate_json(text).accounts
    except ValidationError as err:
        first = err.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadReply(
            f"not the list that was asked for: {where or 'the reply'}: {first['msg']}"[:200]
        ) from None
    ranks: dict[str, int] = {}
    genres: dict[str, str] = {}
    for entry in entries:
        if (account := _account_in(entry.account)) and account not in ranks:
            ranks[account] = len(ranks) + 1
            if genre := _plain(entry.genre or ""):
                genres[account] = genre
    if not ranks:
        raise BadReply("names no account")
    wrong = sum(_account_in(entry.account) is None for entry in entries)
    return AccountList(model, False, ranks, genres, not_names=wrong)


def read_survey(uri: str) -> AccountList:
    """A survey's table: `account`, and `count` where a line is more than one vote. Raises UserError (file, line)."""
    table = open_table(uri)
    picked = table.pick({"account": OF_ACCOUNT["account"], "count": _VOTES})
    if "account" not in picked:
        raise UserError(
            f"{table.at(table.grid.line)}: no column account; there are {', '.join(table.columns)}"
        )
    column = picked.get("count", "")
    votes: Counter[str] = Counter()
    wrong = 0
    for line, cells in table:
        account = _account_in(as_text(cells[picked["account"]]))
        wrong += account is None
        if account is not None:
            votes[account] += _count(cells.get(column), table.at(line, column))
    if not votes:
        raise UserError(f"{table.name}: names no account")
    order = sorted(votes, key=lambda account: (-votes[account], account))
    ranks = {account: rank for rank, account in enumerate(order, 1)}
    return AccountList(_plain(table_stem(uri)) or "survey", True, ranks, votes=dict(votes), not_names=wrong)


def told_apart(lists: Sequence[AccountList]) -> list[AccountList]:
    """The lists, of which a later one of the same name has a number behind it."""
    seen: Counter[str] = Counter()
    found = []
    for one in lists:
        seen[one.name] += 1
        found.append(replace(one, name=f"{one.name} ({seen[one.name]})") if seen[one.name] > 1 else one)
    return found


def _count(cell: Any, where: str) -> int:
    if cell is None:
        return 1
    number = number_in(cell)
    if number is None or not number.is_integer() or not 0 < number < 10**9:
        raise UserError(f"{where}: {str(cell)[:40]!r} is no number of votes")
    return int(number)


def _account_in(text: str) -> str | None:
    """The account that a text names, perhaps by its address; None where it is no name of one."""
    name = canonical_account(text[: 10 * _LONGEST])
    if "/" in name:
        name = canonical_account(name.partition("?")[0].rstrip("/").rpartition("/")[2])
    return name if 0 < len(name) <= _LONGEST else None


def _plain(text: str) -> str:
    """A line of at most 100 letters, without what nobody sees."""
    line = " ".join(text[: 10 * _LONGEST].split())
    return "".join(letter for letter in line if letter.isprintable())[:_LONGEST].strip()


def candidates_table(lists: Sequence[AccountList]) -> dict[str, dict[str, Any]]:
    """A row by HEADER for each account of any list: those that most lists name come first.

    Genre, the flags of a minor and of a parent, and who checked them are empty, for people to fill.
    """
    models = [one for one in lists if not one.is_survey]
    surveys = [one for one in lists if one.is_survey]
    rows: list[tuple[Any, dict[str, Any]]] = []
    for account in {account for one in lists for account in one.ranks}:
        by = [one for one in lists if account in one.ranks]
        votes = {one.name: one.votes[account] for one in surveys if account in one.votes}
        ranks = {one.name: one.ranks[account] for one in models if account in one.ranks}
        row: dict[str, Any] = dict.fromkeys(HEADER, "") | {
            "account": account,
            "source": "; ".join(one.name for one in by),
            "genres_suggested": "; ".join(
                dict.fromkeys(one.genres[account] for one in by if account in one.genres)
            ),
            "n_models": len(ranks),
            "n_surveys": len(votes),
            "votes": sum(votes.values()),
            "ranks_by_model": _listed_as(ranks),
            "votes_by_survey": _listed_as(votes),
        }
        best = min(one.ranks[account] for one in by)
        rows.append(((-len(by), -sum(votes.values()), best, account), row))
    return {row["account"]: row for _, row in sorted(rows, key=lambda pair: pair[0])}


def _listed_as(numbers: Mapping[str, int]) -> str:
    return "; ".join(f"{name}: {number}" for name, number in numbers.items())


def with_edits(
    rows: Mapping[str, Mapping[str, Any]], edited: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The rows with what people wrote into an earlier table of them, then the accounts that only that one has."""
    found = {account: dict(row) for account, row in rows.items()}
    for cells in edited:
        if account := _account_in(as_text(cells.get("account"))):
            texts = {name: as_text(cells.get(name)) for name in HEADER}
            row = found.setdefault(account, texts | {"account": account})
            row |= {name: texts[name] for name in BY_PEOPLE if texts[name]}
    return list(found.values())


class ListPair(NamedTuple):
    """How far one list is covered by another."""

    name: str
    other: str
    accounts: int
    shared: int
    only_here: int
    jaccard: float
    votes_shared: float | None  # the share of a survey's votes that goes to accounts of the other list


def pairs_of_lists(lists: Sequence[AccountList]) -> list[ListPair]:
    """Each list against each other one, both ways."""
    pairs = []
    for one, other in permutations(lists, 2):
        shared = one.ranks.keys() & other.ranks.keys()
        only, union = len(one.ranks) - len(shared), len(one.ranks.keys() | other.ranks.keys())
        votes = (
            sum(one.votes[account] for account in shared) / sum(one.votes.values()) if one.is_survey else None
        )
        pairs.append(
            ListPair(one.name, other.name, len(one.ranks), len(shared), only, len(shared) / union, votes)
        )
    return pairs


def only_in(lists: Sequence[AccountList]) -> dict[str, int]:
    """How many accounts of each list no other one names."""
    named = Counter(account for one in lists for account in one.ranks)
    return {one.name: sum(named[account] == 1 for account in one.ranks) for one in lists}


def intersections(lists: Sequence[AccountList]) -> list[tuple[tuple[int, ...], int]]:
    """The places of the lists that name an account, and how many accounts these name and no others: the most first."""
    members: Counter[tuple[int, ...]] = Counter()
    for account in {account for one in lists for account in one.ranks}:
        members[tuple(place for place, one in enumerate(lists) if account in one.ranks)] += 1
    return sorted(members.items(), key=lambda pair: (-pair[1], len(pair[0]), pair[0]))
