"""Tables whose cells have types: Parquet, and JSON with one object a row."""

from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tikval.files import refuse_extension_types
from tikval.sources.json_records import HEAD, Open, iter_lines, json_error, json_form, list_items
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


def read_json_table(open_: Open, *, whole: bool) -> RawTable:
    """One object a line, or a list of objects, read as the rows are asked for; the names of all rows are read first.

    Raises ValueError with the line, or the place in the list.
    """
    with open_() as file:
        is_list = whole and json_form(file.read(HEAD)) == "list"

    def records() -> Iterator[tuple[int, dict[str, Any]]]:
        for line, cells in enumerate(list_items(open_), start=1) if is_list else _lines(open_):
            if not isinstance(cells, dict):
                raise ValueError(f"line {line}: not an object of column names and cells")
            yield line, cells

    def rows() -> Iterator[tuple[int, Sequence[Any]]]:
        return ((line, [record.get(name) for name in header]) for line, record in records())

    try:
        header = tuple(dict.fromkeys(name for _, record in records() for name in record))
    except RecursionError as err:
        raise ValueError(f"not JSON ({json_error(err)})") from None
    return RawTable(header, rows, 1)


def _lines(open_: Open) -> Iterator[tuple[int, Any]]:
    for record in iter_lines(open_):
        if record.problem:
            raise ValueError(f"{record.place}: {record.problem}")
        yield int(record.place.removeprefix("line ")), record.cells
