"""A bundle for a reviewer or a regulator: one .zip with a study's rows, recipes and numbers, which verify.py checks.

README.txt, manifest.json       in plain words; SHA-256 of every file but made.json, versions, what was left out
made.json                       when it was made: the only file that differs between two bundles of one study
files/                          codebook and prompts, as the recipes name them
study/                          the rows that numbers are made of, as a study's folder has them
tables/NAME.parquet, NAME.csv   the numbers
"""

import hashlib
import importlib.metadata
import io
import json
import platform
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

import tikval
from tikval.claims.declaration import FOLDER as CLAIMS
from tikval.claims.declaration import read_declaration, read_exploration
from tikval.claims.families import read_families
from tikval.config import UserError, find_file
from tikval.evaluate.batches import read_batches
from tikval.evaluate.cascade_plan import CHECK, PLAN
from tikval.evaluate.development import development_of
from tikval.evaluate.evidence_counts import evidence_sources
from tikval.files import parse_json, read_bytes, write_bytes
from tikval.report.export.target import new_file
from tikval.rows import ClaimRow, ClaimWayRow, arrow_schema
from tikval.spreadsheet import csv_of
from tikval.stats.folds import PARTS
from tikval.store.folder import Folder
from tikval.store.folder_run import OVER_SOME, FolderRun
from tikval.store.runs import Study, system_config
from tikval.store.tables import read_table_of
from tikval.study.bundle_numbers import Row, failure_counts, rates_of_systems
from tikval.study.bundle_tables import Pseudonyms, with_checked_quotes, without_quotes

FORMAT: Final = 1
MANIFEST, MADE, README = "manifest.json", "made.json", "README.txt"
STUDY: Final = "study"
LOG: Final = "bundles.json"  # below a study's folder: which bundles were made of it
FILE_KEYS: Final = ("prompt", "codebook", "appeals")  # whose files' text belongs to a recipe
_NAMED: Final = (
    "material",
    "neutral",
)  # whose files are packed, too; their names belong to a recipe, not their text
_PLACES: Final = ("videos", "media", "annotations", "accounts", "columns", "base_url")  # in no recipe
_LEFT_OUT: Final = "left-out"
NOT_HERE: Final = "not-in-this-bundle"  # of a recipe, which cannot be checked then
_OF_ROWS: Final = (
    "scripts",
    "predictions",
    "finetune",
    "combined",
    "tuned",
    "cascade",
    "faithfulness",
    "chance",
    "deletions",
)
_LIBRARIES: Final = ("numpy", "pyarrow", "scipy", "scikit-learn", "torch", "transformers", "ray")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
Say = Callable[[str], None]


@dataclass
class _Bundle:
    """What is being packed."""

    study: Study
    shown: Pseudonyms
    files: dict[str, str] = field(default_factory=dict)  # a file that recipes name -> its name in the bundle
    notes: list[str] = field(default_factory=list)  # what is not there, or cannot be checked

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Every file but the manifest."""
        for folder, run in self.runs():
            yield from self._folder(folder, run)
        yield from self._batches()
        yield from self._claims()
        yield from self._tables()
        for place, name in self.files.items():
            yield name, find_file(place).read_bytes()
        if (erased := read_bytes(f"{self.study.out}/erased.json")) is not None:
            told = parse_json(erased, "erased.json")
            counts = {kind: len(told.get(kind, ())) for kind in ("videos", "accounts")}
            yield "erased.json", _json({"erased": counts})

    def runs(self) -> list[tuple[Folder, FolderRun]]:
        """The finished runs that the numbers are made of, and the scores, by name."""
        study, label_set = self.study, self.study.label_set
        catalog = study.catalog()
        found = [(catalog, catalog.finished())]
        if development := development_of(catalog):
            found.append((development.folder, development.run))
        if scores := study.latest("scores"):
            found.append(scores)
        for folder, run in study.runs:
            is_system = run.stage in ("predictions", "finetune", "combined", "tuned", "cascade")
            if run.stage in _OF_ROWS and (not is_system or study.label_set_of(folder, run) == label_set):
                found.append((folder, run))
        return sorted(found, key=lambda pair: pair[0].name)

    def _folder(self, folder: Folder, run: FolderRun) -> Iterator[tuple[str, bytes]]:
        at, names = f"{STUDY}/{folder.name}", dict[str, str]()
        table = self.shown.table(self._rows(folder, run))
        yield f"{at}/data.parquet", parquet(table)
        for name, file in sorted(run.side_tables.items()):
            if name != "near_duplicates":
                names[name] = f"_{name}.parquet"
                yield (
                    f"{at}/{names[name]}",
                    parquet(self.shown.table(read_table_of(f"{folder.uri}/{file}", name))),
                )
        inputs = {
            uri if uri == OVER_SOME else f"{STUDY}/{uri.rstrip('/').rpartition('/')[2]}": state
            for uri, state in run.inputs.items()
        }
        here = replace(
            run,
            files=["data.parquet"],
            side_tables=names,
            inputs=inputs,
            rows=table.num_rows,
            failed=folder.counted(run.files, None)[1] if "error" in table.column_names else {},
            config=self._config(run.config),
        )
        yield f"{at}/run.json", here.to_json()
        if asked := folder.asked_at():
            yield f"{at}/asked.json", json.dumps(asked).encode()
        if run.stage == "cascade":
            yield from self._promise(folder, run)
        if (folds := read_bytes(f"{folder.uri}/folds.json")) is not None:
            yield f"{at}/folds.json", _json(self._shown_folds(parse_json(folds, folder.uri)))

    def _promise(self, folder: Folder, run: FolderRun) -> Iterator[tuple[str, bytes]]:
        """A cascade's plan, and its check where what it was made of is still there; neither names a video."""
        files = [PLAN, CHECK] if self.study.reads_what_is_there(run) else [PLAN]
        if CHECK not in files:
            name = run.config["system"]
            self.notes.append(
                f"check of the promise of {name}: what it was made of has changed; analyze again"
            )
        for file in files:
            if (data := read_bytes(f"{folder.uri}/{file}")) is not None:
                yield f"{STUDY}/{folder.name}/{file}", data

    def _shown_folds(self, value: Any, inside: bool = False) -> Any:
        if isinstance(value, dict):
            return {key: self._shown_folds(item, inside or key in PARTS) for key, item in value.items()}
        if isinstance(value, list):
            return [self._shown_folds(item, inside) for item in value]
        return self.shown.id(value) if inside and isinstance(value, str) else value

    def _config(self, value: Any, key: str = "") -> Any:
        """A configuration that names no place of this machine, and the files of the bundle."""
        if isinstance(value, dict):
            return {name: self._config(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._config(item, key) for item in value]
        if not isinstance(value, str):
            return value
        if key == "out":
            return STUDY
        if key == "annotator":
            return self.shown.annotators.get(value, value)
        if key in FILE_KEYS:
            return self._file(value)
        if key in _NAMED:
            self._file(value)
        if key in _PLACES:
            return _LEFT_OUT
        if "://" in value or value.startswith(("/", "~")):
            return NOT_HERE
        return value

    def _rows(self, folder: Folder, run: FolderRun) -> pa.Table:
        table = folder.read()
        if not self.shown.content or "evidence" not in table.column_names:
            return table
        try:
            sources = evidence_sources(self.study, system_config(run).scripts)
            return with_checked_quotes(table, sources, hide_accounts=not self.shown.names)
        except UserError as err:
            self.notes.append(f"{err}: its quotes cannot be checked, and are left out")
            return without_quotes(table)

    def _file(self, place: str) -> str:
        if place not in self.files:
            try:
                find_file(place)
            except UserError as err:
                self.notes.append(f"{err}: recipes that name it cannot be checked")
                return NOT_HERE
            self.files[place] = f"files/{len(self.files) + 1:02}-{Path(place).name}"
        return self.files[place]

    def _batches(self) -> Iterator[tuple[str, bytes]]:
        for one in read_batches(self.study.out):
            table = self.shown.table(one.table)
            facts = {"batch": one.number, **{k: v for k, v in one.about.items() if not isinstance(v, str)}}
            table = table.replace_schema_metadata({b"tikval": json.dumps(facts).encode()})
            yield f"{STUDY}/next/batch-{one.number:03}-drawn.parquet", parquet(table)

    def _claims(self) -> Iterator[tuple[str, bytes]]:
        out = self.study.out
        for family in read_families(out, self.study.label_set):
            at = f"{STUDY}/{CLAIMS}/{family.name}"
            for file, read in (("declared", read_declaration), ("explored", read_exploration)):
                if (declared := read(out, family.name)) is not None:
                    labelled = tuple(sorted(map(self.shown.id, declared.labelled)))
                    yield f"{at}/{file}.json", replace(declared, labelled=labelled).to_json()
            for look in family.looks:
                yield f"{at}/look-{look.number:03}.json", _json(asdict(look))
            for name, kind, rows in (("claims", ClaimRow, family.claims), ("ways", ClaimWayRow, family.ways)):
                table = pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(kind))
                yield f"{at}/{name}.parquet", parquet(table)

    def _tables(self) -> Iterator[tuple[str, bytes]]:
        rates, notes = rates_of_systems(self.study)
        self.notes += notes
        kept = {folder.name for folder, _ in self.runs()}
        failures = [row for row in failure_counts(self.study) if row["folder"] in kept]
        for name, rows in (("rates", rates), ("failures", failures)):
            yield f"tables/{name}.parquet", parquet(pa.Table.from_pylist(rows))


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def csv_name(parquet_name: str) -> str:
    """Where the same table lies as a spreadsheet reads it."""
    parts = parquet_name.removesuffix(".parquet").split("/")
    return f"tables/{'-'.join(part.lstrip('_') for part in parts if part not in (STUDY, 'tables'))}.csv"


def csv_bytes(table: pa.Table) -> bytes:
    """A table for a spreadsheet; lists with blanks between."""
    rows: list[list[Any]] = [list(table.column_names)]
    rows += [[_cell(cell) for cell in row.values()] for row in table.to_pylist()]
    return csv_of(rows).encode("utf-8", "backslashreplace")


def _cell(cell: Any) -> Any:
    if isinstance(cell, list):
        return (
            json.dumps(cell, ensure_ascii=False)
            if cell and isinstance(cell[0], dict)
            else " ".join("" if item is None else str(item) for item in cell)
        )
    return cell


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")


def write_bundle(
    study: Study, file: str, *, names: bool = False, content: bool = False, say: Say = lambda _: None
) -> tuple[str, int, list[str]]:
    """Write a bundle; returns its SHA-256, its size in bytes, and notes on what it lacks.

    Raises UserError where scores are older than what they were made of, and for a name that does not end in .zip.
    """
    if not file.lower().endswith(".zip"):
        raise UserError(f"{file}: the name of a bundle must end in .zip")
    scores = study.latest("scores")
    if scores and not study.reads_what_is_there(scores[1]):
        raise UserError(
            f"{study.out}: what was scored has changed since; run tikval analyze again, then bundle it"
        )
    packed = _Bundle(study, Pseudonyms.of(study, names=names, content=content))
    hashes: dict[str, str] = {}
    with new_file(file) as place:
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:

            def add(name: str, data: bytes) -> None:
                info = zipfile.ZipInfo(name, _EPOCH)
                info.external_attr, info.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
                archive.writestr(info, data)
                say(name)

            for name, data in packed.members():
                hashes[name] = hashlib.sha256(data).hexdigest()
                add(name, data)
                if name.endswith(".parquet"):
                    csv = csv_bytes(pq.read_table(io.BytesIO(data)))
                    hashes[csv_name(name)] = hashlib.sha256(csv).hexdigest()
                    add(csv_name(name), csv)
            read_me = _readme(packed)
            hashes[README] = hashlib.sha256(read_me).hexdigest()
            add(README, read_me)
            add(MANIFEST, _json(_manifest(packed, hashes)))
            add(MADE, _json({"made_at": datetime.now(UTC).isoformat(timespec="seconds")}))
        data = place.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    _log(study.out, file, digest, len(data))
    return digest, len(data), packed.notes


def _manifest(packed: _Bundle, hashes: dict[str, str]) -> dict[str, Any]:
    versions = {"tikval": tikval.__version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "format": FORMAT,
        "label_set": packed.study.label_set,
        "names": packed.shown.names,
        "content": packed.shown.content,
        "versions": versions,
        "not_there": packed.notes,
        "files": dict(sorted(hashes.items())),
    }


def _readme(packed: _Bundle) -> bytes:
    text = Path(__file__).with_name("bundle_readme.txt").read_text(encoding="utf-8")
    labels = ", ".join(packed.study.codebook().labels)
    named = "as they are" if packed.shown.names else "numbers in place of names"
    words = (
        "scripts, captions and quotes, but of minors"
        if packed.shown.content
        else "no script, caption or quote"
    )
    return text.format(labels=labels, named=named, words=words, tikval=tikval.__version__).encode()


def _log(out: str, file: str, digest: str, size: int) -> None:
    """Note in the study that a bundle was made: an erasure cannot reach it, and says so."""
    place = f"{out}/{LOG}"
    made = {
        "file": file,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": digest,
        "bytes": size,
    }
    write_bytes(place, _json([*read_bundles(out), made]))


def read_bundles(out: str) -> list[Row]:
    """The bundles that were made of a study, as they were named then. Raises UserError for what is not ours."""
    place = f"{out}/{LOG}"
    data = read_bytes(place)
    found = [] if data is None else parse_json(data, place)
    if not isinstance(found, list) or not all(isinstance(one, dict) and "file" in one for one in found):
        raise UserError(f"{place}: not what tikval wrote there")
    return found
