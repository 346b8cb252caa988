"""An export as a file or a folder, in the form that its name asks for. Some lines at a time, from a table's batches."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tikval.config import UserError
from tikval.files import make_folder
from tikval.report.export.attrition import attrition_export
from tikval.report.export.database import write_database
from tikval.report.export.progress import ExportProgress
from tikval.report.export.target import new_file, new_folder
from tikval.report.export.values import Export, Values, has_scores, scores_export, stale_scores
from tikval.report.export.workbook import check_rows, write_workbook
from tikval.report.notices import not_calibrated
from tikval.spreadsheet import write_csv_of
from tikval.store.runs import Study

DATABASE: Final = ".duckdb"
PARTITIONS: Final = ("system", "recipe")
_SECONDS: Final = pa.timestamp("s", tz="UTC")
_ROWS: Final = 2_000  # that are Python objects at once

Advance = Callable[[int], None]  # told how many lines more are written


def is_folder(file: str) -> bool:
    return file.endswith("/")


def write_study(
    study: Study,
    file: str,
    form: Literal["long", "scores"] | None = None,
    only: Sequence[str] = (),
    *,
    names: bool = False,
    annotator: str | None = None,
    force: bool = False,
) -> tuple[str, list[str]]:
    """Write the values of a study's systems, by column or `form`; a database holds all forms.

    Returns how many lines, in words, and notes. Raises what Values, scores_export and write_export raise.
    """
    exports, notes = list[Export](), list[str]()
    whole = Path(file).suffix.lower() == DATABASE
    if whole and form:
        raise UserError(f"{file}: a database holds all tables; leave out --{form}")
    if form != "scores":
        values = Values(study, only, names=names, annotator=annotator)
        notes += values.annotations.notes
        notes += filter(None, (not_calibrated(each.config, each.folder.uri) for each in values.systems))
        exports = [values.wide(), values.long()] if whole else [values.long() if form else values.wide()]
    if whole:
        exports.append(attrition_export(study, names=names))
    if form == "scores" or (whole and has_scores(study)):
        exports.append(scores_export(study))
        if stale := stale_scores(study):
            notes.append(f"what {', '.join(stale)} scored has changed since; run jobs.evaluate again")
    with ExportProgress(file, sum(export.rows for export in exports)) as progress:
        write_export(exports, file, progress.advance, force)
    counts = [f"{export.rows} {'line' if export.rows == 1 else 'lines'}" for export in exports]
    named = [f"{export.name} {count}" for export, count in zip(exports, counts, strict=True)]
    return ", ".join(named) if whole else counts[0], notes


def write_export(
    exports: Sequence[Export], file: str, advance: Advance = lambda _: None, force: bool = False
) -> None:
    """Write one export, or several into a database, in the form that the name asks for: whole, or not at all.

    Raises UserError for another form, for more lines than a workbook holds and where the file cannot be written.
    `force`: also in the place of the partitions of an earlier export.
    """
    counted = [_counted(each, advance) for each in exports]
    first, suffix = counted[0], Path(file).suffix.lower()
    if is_folder(file):
        with new_folder(file, f"{PARTITIONS[0]}=", force) as folder:
            _write_partitions(first, folder)
        return
    writers: dict[str, Callable[[Path], None]] = {
        ".csv": lambda path: _write_csv(first, path),
        ".xlsx": lambda path: write_workbook(first, path),
        ".parquet": lambda path: _write_parquet(first, path),
        ".jsonl": lambda path: _write_lines(first, path),
        DATABASE: lambda path: write_database(counted, path),
    }
    if suffix not in writers:
        forms = ", ".join(writers)
        raise UserError(
            f"{file}: the name must end in {forms}, or in / for a folder of Parquet files by recipe"
        )
    if suffix == ".xlsx":
        check_rows(first, file)
    with new_file(file) as path:
        writers[suffix](path)


def _counted(export: Export, advance: Advance) -> Export:
    def tables() -> Iterator[pa.Table]:
        for table in export.tables():
            yield table
            advance(table.num_rows)

    return Export(export.name, export.schema, export.rows, tables)


def _write_csv(export: Export, path: Path) -> None:
    """Times to the second, as spreadsheets read them."""
    fields = [
        field.with_type(_SECONDS) if pa.types.is_timestamp(field.type) else field for field in export.schema
    ]
    schema = pa.schema(fields)
    write_csv_of(path, schema, (table.cast(schema, safe=False) for table in export.tables()))


def _write_parquet(export: Export, path: Path) -> None:
    with pq.ParquetWriter(path, export.schema, compression="zstd") as writer:
        for table in export.tables():
            writer.write_table(table)


def _write_partitions(export: Export, folder: Path) -> None:
    """system=NAME/recipe=FINGERPRINT/part-0.parquet, without the two columns, which readers take from the path."""
    kept = [field for field in export.schema if field.name not in PARTITIONS]
    schema, writers = pa.schema(kept), dict[tuple[str, ...], pq.ParquetWriter]()
    try:
        for table in export.tables():
            for part in table.group_by(PARTITIONS).aggregate([]).to_pylist():
                key = tuple(f"{name}={part[name]}" for name in PARTITIONS)
                if key not in writers:
                    make_folder(folder.joinpath(*key))
                    file = folder.joinpath(*key, "part-0.parquet")
                    writers[key] = pq.ParquetWriter(file, schema, compression="zstd")
                is_part = pc.and_(*(pc.equal(table[name], part[name]) for name in PARTITIONS))
                writers[key].write_table(table.filter(is_part).select(schema.names))
    finally:
        for writer in writers.values():
            writer.close()


def _write_lines(export: Export, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for table in export.tables():
            for batch in table.to_batches(_ROWS):
                file.writelines(
                    json.dumps(row, ensure_ascii=False, default=_as_text) + "\n" for row in batch.to_pylist()
                )


def _as_text(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
