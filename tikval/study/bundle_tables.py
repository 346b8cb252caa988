"""What of a study's tables goes into a bundle: every number, and nobody's name or words unless they were asked for.

Accounts become numbers in the order of their names, annotators too: whatever depends on that order stays as it was.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tikval.evaluate.evidence_counts import EvidenceSources, checked_evidence
from tikval.files import is_local
from tikval.privacy import strip_handles
from tikval.report.shown_ids import shown_ids
from tikval.store.runs import Study

# words and addresses that may name somebody, whatever is asked for: they are of no use to a reviewer
_LEFT_OUT: Final = ("path", "etag", "detail", "ledger_key", "url", "music", "hashtags", "unheard", "alias")
_NAMING: Final = ("content_sha",)  # who has the file can tell whose it is
_CONTENT: Final = ("script", "caption", "notes")
_AT_ONCE: Final = 2_000  # rows whose scripts are in memory


@dataclass(frozen=True)
class Pseudonyms:
    """What a bundle calls videos, accounts and annotators, and whether it may hold what was said in the videos."""

    ids: dict[str, str]  # only those that are shown as another one
    accounts: dict[str, str]
    annotators: dict[str, str]
    names: bool
    content: bool
    minors: frozenset[str]  # videos of accounts that feature a minor: never by content

    @classmethod
    def of(cls, study: Study, *, names: bool, content: bool) -> "Pseudonyms":
        """Gather all names of a study."""
        catalog, labels = study.catalog(), study.catalog().read_side_table("labels")
        listed = catalog.read(["video_id", "account", "is_minor"])
        minors = frozenset(listed.filter(pc.fill_null(listed["is_minor"], False))["video_id"].to_pylist())
        if names:
            return cls({}, {}, {}, names, content, minors)
        accounts = set(listed["account"].to_pylist())
        for table in ("labels", "accounts", "posts"):
            accounts |= {row["account"] for row in catalog.read_side_table(table)}
        ids = shown_ids(study, {row["video_id"]: row["account"] for row in labels})
        annotators = {row["annotator"] for row in labels}
        return cls(
            ids, _numbered(accounts, "account"), _numbered(annotators, "annotator"), names, content, minors
        )

    def id(self, video_id: str) -> str:
        return self.ids.get(video_id, video_id)

    def table(self, table: pa.Table) -> pa.Table:
        """A table of a study as a bundle has it: the same rows in the same order."""
        minor = (
            pc.is_in(table["video_id"], pa.array(sorted(self.minors), pa.string()))
            if ("video_id" in table.column_names)
            else None
        )
        for n, field in enumerate(table.schema):
            column = table[field.name]
            made = self._column(field, column)
            if field.name in (*_CONTENT, "evidence") and self.content and minor is not None:
                made = pc.if_else(minor, _without_words(field, column), made)
            table = table.set_column(n, field, made)
        return table

    def _column(self, field: pa.Field, column: pa.ChunkedArray) -> Any:
        if field.name in ("video_id", "other_id"):
            return _mapped(column, self.id)
        if field.name == "account" and not self.names:
            return _mapped(column, lambda name: self.accounts.get(name, "account"))
        if field.name == "annotator" and not self.names:
            return _mapped(column, lambda name: self.annotators.get(name, name))
        if field.name == "row_key":
            return _mapped(column, key_of)
        if field.name in ("model", "model_served"):
            return _mapped(column, plain_model)
        if field.name == "files":  # that there are several tells that it is a post of pictures
            return pc.if_else(pc.is_valid(column), pa.scalar([], field.type), pa.scalar(None, field.type))
        if field.name == "size_bytes" and not self.names:
            return pa.array([0] * len(column), field.type)
        if field.name in _LEFT_OUT or (field.name in _NAMING and not self.names):
            return _nothing(field, len(column))
        if field.name in (*_CONTENT, "evidence"):
            return self._words(field, column) if self.content else _without_words(field, column)
        return column

    def _words(self, field: pa.Field, column: pa.ChunkedArray) -> Any:
        return column if field.name == "evidence" else _mapped(column, strip_handles)


def with_checked_quotes(table: pa.Table, sources: EvidenceSources, *, hide_accounts: bool) -> pa.Table:
    """Predictions whose passages have no quote but what may be shown as one; the passages stay."""
    cells = table["evidence"].to_pylist()
    given = [n for n, cell in enumerate(cells) if cell]
    for at in range(0, len(given), _AT_ONCE):
        some = given[at : at + _AT_ONCE]
        rows = table.select(["row_key", "evidence"]).take(some).to_pylist()
        for n, checked in zip(
            some, checked_evidence(rows, sources, hide_accounts=hide_accounts), strict=True
        ):
            cells[n] = [one.passage | {"quote": one.quote} for one in checked]
    return _with_evidence(table, pa.array(cells, table.schema.field("evidence").type))


def without_quotes(table: pa.Table) -> pa.Table:
    """Predictions whose passages have no quote at all."""
    return _with_evidence(table, _without_words(table.schema.field("evidence"), table["evidence"]))


def _with_evidence(table: pa.Table, evidence: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index("evidence"), table.schema.field("evidence"), evidence)


def key_of(row_key: str) -> str:
    """What stands for a row's key, which names a file's size and time: as good a key, and no way back."""
    return hashlib.sha256(f"tikval bundle {row_key}".encode()).hexdigest()[:32]


def plain_model(name: str) -> str:
    """A model's name without the folder of a local one."""
    return name.rpartition("/")[2] if is_local(name) and name.startswith(("/", "~", ".")) else name


def _numbered(names: Iterable[str | None], what: str) -> dict[str, str]:
    known = sorted({name for name in names if name})
    width = len(str(len(known)))
    return {name: f"{what}-{n:0{width}}" for n, name in enumerate(known, 1)}


def _mapped(column: pa.ChunkedArray, shown: Callable[[str], str]) -> pa.Array:
    coded = pc.dictionary_encode(column.combine_chunks())
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    names = [None if name is None else shown(name) for name in coded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(coded.indices)


def _nothing(field: pa.Field, n: int) -> pa.Array:
    return pa.nulls(n, field.type) if field.nullable else pa.array([""] * n, field.type)


def _without_words(field: pa.Field, column: pa.ChunkedArray) -> Any:
    """Passages keep their places and weights; other texts go."""
    if field.name != "evidence":
        return pa.nulls(len(column), field.type)
    cells = [
        None if cell is None else [passage | {"quote": None} for passage in cell]
        for cell in column.to_pylist()
    ]
    return pa.array(cells, field.type)
