"""The tables of a study as their row types have them, whoever wrote the files: cast, completed, or refused in words.

What an earlier version did not write is null, and what no row type has is left out. Everything that reads a table of a
folder reads it here.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.files import iter_parquet
from tikval.rows import (
    AccountRow,
    ClaimRow,
    ClaimWayRow,
    ComparisonRow,
    DeletionRow,
    DuplicateRow,
    EmbeddingRow,
    FaithfulnessRow,
    LabelRow,
    Outcome,
    PostRow,
    PredictionRow,
    Reason,
    SampledRow,
    ScoreRow,
    ScriptRow,
    SliceRow,
    VideoRow,
    arrow_schema,
)

_ROW_TYPES: Final[dict[str, type]] = {  # by stage, and by the name of a side table
    "catalog": VideoRow,
    "development": VideoRow,
    "accounts": AccountRow,
    "labels": LabelRow,
    "posts": PostRow,
    "scripts": ScriptRow,
    "embeddings": EmbeddingRow,
    "near_duplicates": DuplicateRow,
    "predictions": PredictionRow,
    "finetune": PredictionRow,
    "combined": PredictionRow,
    "tuned": PredictionRow,
    "cascade": PredictionRow,
    "sampled": SampledRow,
    "faithfulness": FaithfulnessRow,
    "chance": FaithfulnessRow,
    "scores": ScoreRow,
    "comparisons": ComparisonRow,
    "slices": SliceRow,
    "deletions": DeletionRow,
    "claims": ClaimRow,
    "claim_ways": ClaimWayRow,
}
_BATCH_ROWS: Final = 2**16
_MAX_ROWS: Final = 10**8  # of one file in memory
_OUTCOMES: Final = {outcome.value for outcome in Outcome}
_REASONS: Final = {reason.value for reason in Reason}


def read_table_of(uri: str, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One file of the stage or side table `table`. Raises UserError for what cannot be read as its rows."""
    parts, rows = [], 0
    for part in iter_rows(uri, table, columns):
        parts.append(part)
        if (rows := rows + part.num_rows) > _MAX_ROWS:
            raise UserError(f"{uri}: has more than {_MAX_ROWS:,} rows")
    return pa.concat_tables(parts)


def iter_rows(uri: str, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of `read_table_of` some at a time; one table at least, which may be empty."""
    row_type = _ROW_TYPES.get(table)
    schema = arrow_schema(row_type) if row_type else None
    wanted = columns if columns is not None or schema is None else schema.names
    try:
        for part in iter_parquet(uri, wanted, _BATCH_ROWS):
            yield _as_rows(part, schema, wanted, uri)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as err:
        raise UserError(f"{uri}: cannot be read as a table ({str(err).splitlines()[0]})") from err


def _as_rows(table: pa.Table, schema: pa.Schema | None, wanted: Sequence[str] | None, uri: str) -> pa.Table:
    if len(set(table.column_names)) != table.num_columns:
        raise UserError(f"{uri}: has a column twice")
    if schema is not None:
        fields = [schema.field(name) for name in wanted or ()]
        columns = [_as_column(table, field, uri) for field in fields]
        kinds = [field.with_type(column.type) for field, column in zip(fields, columns, strict=True)]
        table = pa.table(columns, pa.schema(kinds, metadata=table.schema.metadata))
    table.validate(full=True)  # a text may not be UTF-8
    return table


def _as_column(table: pa.Table, field: pa.Field, uri: str) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        if not field.nullable:
            raise UserError(f"{uri}: has no column {field.name}")
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    column, kind = table[field.name], field.type
    if pa.types.is_fixed_size_list(column.type) and pa.types.is_list(kind):
        kind = pa.list_(kind.value_type, column.type.list_size)  # as wide as the encoder that wrote it
    try:
        column = column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as err:
        raise UserError(f"{uri}: column {field.name} is {str(column.type)[:100]}, and not {kind}") from err
    if column.null_count and not field.nullable:
        raise UserError(f"{uri}: column {field.name} has empty cells")
    if field.name == "outcome" and (odd := set(pc.unique(column).to_pylist()) - _OUTCOMES):
        raise UserError(
            f"{uri}: column outcome: {str(min(odd, key=str))[:100]!r} is none that this version knows"
        )
    if field.name == "error" and (odd := set(pc.unique(column).drop_null().to_pylist()) - _REASONS):
        raise UserError(f"{uri}: column error: {min(odd)[:100]!r} is no reason that this version knows")
    return column
