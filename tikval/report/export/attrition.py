"""Attrition as a table of an export, with what each column is."""

from itertools import islice
from typing import Any, Final

import pyarrow as pa

from tikval.evaluate.attrition import attrition_of
from tikval.report.export.columns import Column, documented_schema
from tikval.report.export.values import Export
from tikval.report.tables.attrition import CSV_COLUMNS, attrition_rows, numbered_accounts
from tikval.store.runs import Study

_ABOUT: Final = {
    "by": "all, or the kind of group: genre, account or minor",
    "group": "which group; `not known` where nothing tells it",
    "step": "listed, reachable, downloaded, readable, judged or annotated",
    "reason": "empty, or why posts were lost on the way to this step",
    "posts": "how many posts of the group reached the step, or were lost for the reason",
    "share_of_listed": "of the group's listed posts, from 0 to 1",
    "share_of_step_before": "of the group's posts at the step before",
    "system": "whose results count as judged",
}
_AT_ONCE: Final = 100_000  # lines of groups, of which there are as many as accounts, as Python objects
_KINDS: Final = {"posts": pa.int64(), "share_of_listed": pa.float64(), "share_of_step_before": pa.float64()}


def attrition_export(study: Study, *, names: bool = False) -> Export:
    """The attrition of a study, by all kinds of groups; accounts as numbers unless `names`."""
    found = attrition_of(study)
    columns = [Column(name, _KINDS.get(name, pa.string()), _ABOUT[name]) for name in CSV_COLUMNS]
    schema = documented_schema(columns)
    rows = attrition_rows(found, str if names else numbered_accounts(found))
    tables = [_table(some, schema) for some in iter(lambda: list(islice(rows, _AT_ONCE)), [])]
    return Export("attrition", schema, sum(table.num_rows for table in tables), lambda: iter(tables))


def _table(rows: list[list[Any]], schema: pa.Schema) -> pa.Table:
    cells = zip(zip(*rows, strict=True), schema, strict=True)
    return pa.Table.from_arrays([pa.array(column, field.type) for column, field in cells], schema=schema)
