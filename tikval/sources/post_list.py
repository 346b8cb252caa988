"""A list of posts as files: list.csv, with the columns of PostRow, and list.json, with the rule and what it did."""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

import tikval
from tikval.files import make_folder, move_file, read_bytes, write_bytes
from tikval.rows import Outcome, PostRow, arrow_schema
from tikval.sources.sample_rule import merge_posts
from tikval.sources.select import Selected
from tikval.spreadsheet import write_csv_of

_BEGIN: Final = b'{\n  "rule":'  # of the JSON
_BATCH: Final = 10_000  # rows that are dicts at once


def rule_file(to: Path) -> Path:
    """list.csv -> list.json"""
    return to.with_suffix(".json")


def is_list_or_new(to: Path) -> bool:
    """Whether nothing is lost by writing a list there: neither file is there, or both are and were such a list."""
    rule = read_bytes(str(rule_file(to)))
    return rule.startswith(_BEGIN) if rule is not None else not to.exists()


def write_post_list(
    rows: Callable[[], Iterable[PostRow]], selected: Selected, to: Path, about: Mapping[str, Any]
) -> int:
    """Write what was selected of `rows`, which are read once more, and return how many posts that are.

    A sample stands by account and from the newest post on; a list without a rule as it is read, also what is no post,
    or gone. Rows of one post become one. `about` goes into the JSON: where the rows come from.
    """
    n = 0

    def counted_tables() -> Iterator[pa.Table]:
        nonlocal n
        for table in (
            _sorted(_tables(rows(), selected)) if selected.rule.chooses else _tables(rows(), selected)
        ):
            n += table.num_rows
            yield _as_text(table)

    make_folder(to.parent)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".tmp-") as scratch:
        made = Path(scratch) / to.name
        write_csv_of(str(made), _as_text(arrow_schema(PostRow).empty_table()).schema, counted_tables())
        move_file(made, str(to))
    write_bytes(
        str(rule_file(to)), json.dumps(_facts(selected, about), indent=2, ensure_ascii=False).encode()
    )
    return n


def _tables(rows: Iterable[PostRow], selected: Selected) -> Iterator[pa.Table]:
    posts = _merged(rows, selected)
    while batch := list(islice(posts, _BATCH)):
        yield pa.Table.from_pylist(batch, schema=arrow_schema(PostRow))


def _sorted(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    order = [("account", "ascending"), ("posted_at", "descending"), ("video_id", "ascending")]
    yield pa.concat_tables([arrow_schema(PostRow).empty_table(), *tables]).sort_by(order)


def _merged(rows: Iterable[PostRow], selected: Selected) -> Iterator[PostRow]:
    several: dict[str, PostRow] = {}
    for row in rows:
        video_id, is_post = row["video_id"], row["outcome"] != Outcome.INVALID_ROW
        if selected.rule.chooses and not (is_post and video_id in selected.ids):
            continue
        if not (is_post and video_id in selected.repeated):
            yield row
        else:
            several[video_id] = merge_posts(several[video_id], row) if video_id in several else row
    yield from several.values()


def _as_text(table: pa.Table) -> pa.Table:
    """The table with its dates and lists as cells hold them: 2026-03-01T12:00:00Z, and words with spaces between."""
    for place, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            seconds = table[column.name].cast(pa.timestamp("s", "UTC"), safe=False)
            table = table.set_column(place, column.name, pc.strftime(seconds, "%Y-%m-%dT%H:%M:%SZ"))
        elif pa.types.is_list(column.type):
            table = table.set_column(place, column.name, pc.binary_join(table[column.name], " "))
    return table


def _facts(selected: Selected, about: Mapping[str, Any]) -> dict[str, Any]:
    rule = selected.rule
    asked = {name: _plain(value) for name, value in vars(rule).items() if value is not None}
    return {
        "rule": str(rule),
        "options": asked if rule.chooses else {},
        **about,
        "tikval": tikval.__version__,
        "posts_listed": selected.listed,
        "posts_chosen": len(selected.ids),
        "left_out": selected.left_out,
        "accounts": [one._asdict() for one in selected.accounts],
        "accounts_whose_pinned_posts_are_not_known": selected.pinned_unknown,
        **({"strata": [one._asdict() for one in selected.strata]} if selected.strata else {}),
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
