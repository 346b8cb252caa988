"""Tables whose cells have types: Parquet, and JSON with one object a row."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tikval.files import refuse_extension_types
from tikval.sources.text_tables import RawTable


def read_parquet_table(stream: IO[bytes], name: str) -> RawTable:
    """A file that is read batch by batch where its place can be sought.

    Raises ValueError for what is no Parquet file, UserError for columns of types that run code.
    """
    file = pa.PythonFile(stream) if stream.seekable() else pa.BufferReader(stream.read())
    try:
        refuse_extension_types(file, name)
        parquet = pq.ParquetFile(file)
        header = tuple(parquet.schema_arrow.names)
    except (pa.ArrowException, OSError) as err:
        raise ValueError(f"not a Parquet file ({str(err).splitlines()[0]})") from err

    def rows() -> Iterator[tuple[int, Sequence[Any]]]:
        line = 0
        try:
            for batch in parquet.iter_batches(2**14):
                columns = [column.to_pylist() for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    line += 1
                    yield line, cells
        except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
            raise ValueError(f"behind row {line}: cannot be read ({str(err).splitlines()[0]})") from err

    return RawTable(header, rows, 1)


def read_json_table(data: bytes, *, whole: bool) -> RawTable:
    """One object a line, or a list of objects. Raises ValueError with the line, or the place in the list."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ValueError(f"not UTF-8 (byte {err.start}), as JSON has to be") from err
    if whole and text.lstrip()[:1] == "[":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as err:
            raise ValueError(f"not JSON ({str(err)[:100]})") from err
        records = list(enumerate(found, start=1))
    else:
        records = []
        for line, part in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
            try:
                records += [(line, json.loads(part))] if part.strip() else []
            except (ValueError, RecursionError) as err:
                raise ValueError(f"line {line}: not JSON ({str(err)[:100]})") from err
    if odd := [line for line, record in records if not isinstance(record, dict)]:
        raise ValueError(f"line {odd[0]}: not an object of column names and cells")
    header = tuple(dict.fromkeys(name for _, record in records for name in record))
    return RawTable(
        header, lambda: ((line, [record.get(name) for name in header]) for line, record in records), 1
    )
