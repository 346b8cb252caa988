"""Results for other tools: one line per video and system, ids and stances only."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tikval.codebook import load_codebook
from tikval.config import ExtractConfig, PredictConfig, UserError, find
from tikval.files import write_bytes
from tikval.flow.study import Study
from tikval.values import stances


def export_table(study: Study) -> pa.Table:
    """`video_id, system, error` and the V values as int8, null where a system does not model one or failed."""
    catalog = study.catalog()
    systems = study.systems()
    if not systems:
        raise UserError(f"{study.out}: no system has finished yet")
    slugs: tuple[str, ...] = ()
    lines: list[dict[str, object]] = []
    for system, folder in systems.items():
        run = folder.finished()
        kind = PredictConfig if "trained" in run.config else ExtractConfig
        config: PredictConfig | ExtractConfig = kind.model_validate(run.config)
        if config.fingerprint != run.fingerprint:
            raise UserError(f"{config.codebook}: has changed since {system} ran; run the analysis again")
        codebook = load_codebook(find(config.codebook))
        slugs = tuple(dict.fromkeys([*slugs, *codebook.slugs]))
        for row in folder.rows(catalog):
            line = {"video_id": row["video_id"], "system": system, "error": row["error"]}
            if row["decisions"] is not None:
                line |= dict(
                    zip(
                        codebook.slugs,
                        stances(row["decisions"], row["scores"] or [None] * len(row["decisions"])),
                        strict=True,
                    )
                )
            lines.append(line)
    lines.sort(key=lambda line: (str(line["system"]), str(line["video_id"])))
    columns = [(name, pa.string()) for name in ("video_id", "system", "error")]
    schema = pa.schema([*columns, *((slug, pa.int8()) for slug in slugs)])
    return pa.Table.from_pylist(lines, schema=schema)


def write_export(table: pa.Table, file: Path) -> None:
    """Write the table in the form that the suffix names. Raises UserError for another one."""
    sink = pa.BufferOutputStream()
    match file.suffix:
        case ".parquet":
            pq.write_table(table, sink)
        case ".csv":
            pa.csv.write_csv(_spreadsheet_safe(table), sink)
        case ".jsonl":
            for row in table.to_pylist():
                sink.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
        case _:
            raise UserError(f"{file}: the name must end in .csv, .parquet or .jsonl")
    try:
        write_bytes(str(file), sink.getvalue())
    except OSError as err:
        raise UserError(f"{file}: cannot be written ({err.strerror})") from err


def _spreadsheet_safe(table: pa.Table) -> pa.Table:
    """Ids come from strangers: a spreadsheet must not take one that begins with = + - @ for a formula."""
    ids = [f"'{name}" if name[:1] in "=+-@\t\r" else name for name in table["video_id"].to_pylist()]
    return table.set_column(0, "video_id", pa.array(ids, pa.string()))
