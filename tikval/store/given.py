"""What was given to a study once, annotations and accounts, and stays known until it is replaced or taken away.

    catalog-<fingerprint>/given.json    by kind (and codebook): which file, when it was read, how many rows it had

The rows themselves are the catalog's side tables. They stay as they were read whatever becomes of the file.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from pydantic import TypeAdapter, ValidationError

from tikval.config import UserError
from tikval.files import is_local, parse_json, plain_address, read_bytes, write_bytes
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun

_FILE: Final = "given.json"


@dataclass(frozen=True)
class GivenTable:
    """A table that was read."""

    file: str  # as it was named
    place: str  # the same wherever one stands
    read_at: str  # UTC, ISO 8601
    rows: int
    sha256: str | None  # of its bytes; None: an earlier version read it
    codebook: str | None = None  # the file of the codebook, of annotations

    @classmethod
    def read_now(cls, file: str, rows: int, codebook: str | None = None) -> Self:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return cls(file, _place(file), now, rows, _sha256(file), codebook)

    @property
    def changed(self) -> str | None:
        """What has become of the file since, in words; None: it is as it was, or nobody knows how it was."""
        now = _sha256(self.place)
        if now is None:
            return "that file is gone, or cannot be read now; the rows that were read stay"
        if self.sha256 not in (None, now):
            return "that file has changed since; the rows that were read stay until it is given again"
        return None

    @property
    def about(self) -> str:
        """Which file, when and how many rows, in one line, and whether it is still what was read."""
        when = f"{datetime.fromisoformat(self.read_at):%Y-%m-%d %H:%M} UTC"
        line = f"{plain_address(self.file)}, read {when}, {self.rows} row{'s' * (self.rows != 1)}"
        return f"{line}; {self.changed}" if self.changed else line


@dataclass
class GivenTables:
    """All that is known to a catalog."""

    annotations: dict[str, GivenTable] = field(default_factory=dict)  # by label set
    accounts: GivenTable | None = None

    @classmethod
    def of(cls, catalog: Folder) -> Self:
        """The record of a catalog. Raises UserError for one that tikval did not write."""
        run, place = catalog.run(), f"{catalog.uri}/{_FILE}"
        if run is None:  # no rows
            return cls()
        if (data := read_bytes(place)) is None:
            return cls._of_run(catalog, run)
        try:
            return TypeAdapter(cls).validate_python(parse_json(data, place))
        except ValidationError as err:
            raise UserError(f"{place}: not what tikval wrote there") from err

    @classmethod
    def _of_run(cls, catalog: Folder, run: FolderRun) -> Self:
        """What a version without the record has read, as its run.json and its tables tell."""
        config = run.config

        def read(file: str, rows: list[Any], codebook: str | None = None) -> GivenTable:
            return GivenTable(file, _place(file), run.finished_at, len(rows), None, codebook)

        found = cls()
        if config.get("annotations") and (rows := catalog.read_side_table("labels")):
            table = read(config["annotations"], rows, config["codebook"])
            found.annotations = dict.fromkeys(sorted({row["label_set"] for row in rows}), table)
        if config.get("accounts"):
            found.accounts = read(config["accounts"], catalog.read_side_table("accounts"))
        return found

    def write(self, catalog: Folder) -> None:
        """Keep the record, unless it says so already."""
        place, data = f"{catalog.uri}/{_FILE}", json.dumps(asdict(self), indent=2).encode()
        if read_bytes(place) != data and (self != GivenTables() or read_bytes(place) is not None):
            write_bytes(place, data)


def same_table(new: GivenTable, known: GivenTable | None) -> GivenTable:
    """The record of a table that was read again: the one that is known, where nothing in it has changed."""
    unchanged = known and (known.file, known.rows, known.sha256) == (new.file, new.rows, new.sha256)
    return known if known and unchanged and known.codebook == new.codebook else new


def _place(file: str) -> str:
    return str(Path(file).absolute()) if is_local(file) else file


def _sha256(file: str) -> str | None:
    try:
        data = read_bytes(file)
    except (OSError, UserError):
        return None
    return None if data is None else hashlib.sha256(data).hexdigest()
