"""A list of posts as files: list.csv, with the columns of PostRow, and list.json, with the rule and what it did."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

import tikval
from tikval.files import read_bytes, write_bytes
from tikval.rows import Outcome, PostRow, arrow_schema
from tikval.sources.sample_rule import merge_posts
from tikval.sources.select import Selected
from tikval.spreadsheet import csv_of_table

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

    `about` goes into the JSON: where the rows come from. Rows of one post become one.
    """
    listed = _listed(rows(), selected)
    write_bytes(str(to), csv_of_table(_as_text(listed)))
    write_bytes(
        str(rule_file(to)), json.dumps(_facts(selected, about), indent=2, ensure_ascii=False).encode()
    )
    return int(listed.num_rows)


def _listed(rows: Iterable[PostRow], selected: Selected) -> pa.Table:
    """The rows of the list, by account and from the newest on; without a rule also what is no post, or gone."""
    schema, batches, batch = arrow_schema(PostRow), list[pa.RecordBatch](), list[PostRow]()
    for row in _merged(rows, selected):
        batch.append(row)
        if len(batch) == _BATCH:
            batches.append(pa.RecordBatch.from_pylist(batch, schema=schema))
            batch = []
    batches.append(pa.RecordBatch.from_pylist(batch, schema=schema))
    order = [("account", "ascending"), ("posted_at", "descending"), ("video_id", "ascending")]
    return pa.Table.from_batches(batches).sort_by(order)


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
