"""One odd row never stops a study: what no table can hold is that row's failure. No Ray is started."""

from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.rows import video
from tikval.config import Pool
from tikval.flow.data import Step, _Actor
from tikval.rows import Reason, VideoRow, arrow_schema

SCHEMA = arrow_schema(VideoRow)


class Odd:
    """Returns its rows, that of one video with a value that no table can hold."""

    def __init__(self, column: str, value: Any) -> None:
        self.column, self.value = column, value

    def __call__(self, rows: list[Any]) -> list[Any]:
        return [row | {self.column: self.value} if row["video_id"] == "odd" else row for row in rows]

    def failure(self, row: Any, reason: Reason, detail: str) -> Any:
        return row | {"error": reason.value, "detail": detail}


@pytest.mark.parametrize(
    ("column", "value"),
    [("caption", "Nice cake \ud83d"), ("size_bytes", 10**20), ("caption", object()), ("size_bytes", "many")],
)
def test_a_row_that_no_table_can_hold_is_its_own_failure(column: str, value: Any) -> None:
    rows = [video("a"), video("odd"), video("b")]
    actor = _Actor(Step(lambda: Odd(column, value), SCHEMA, Pool()), None)
    done = actor(pa.Table.from_pylist(rows, schema=SCHEMA)).to_pylist()
    assert [(row["video_id"], row["error"]) for row in done] == [
        ("a", None),
        ("odd", "internal_error"),
        ("b", None),
    ]
    assert done[1]["detail"].isascii()
