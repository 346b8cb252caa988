"""A bundle, checked: its files against the manifest, and every number in it against what its own rows come to."""

import hashlib
import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from tikval.claims.declaration import FOLDER as CLAIMS
from tikval.config import (
    CascadeConfig,
    CatalogConfig,
    CombineConfig,
    DevelopmentConfig,
    EvaluateConfig,
    ExplainConfig,
    ExtractConfig,
    FaithfulnessConfig,
    FinetuneConfig,
    JobConfig,
    PredictConfig,
    ScriptConfig,
    TuneConfig,
    UserError,
    validate,
)
from tikval.evaluate.cascade_plan import read_check
from tikval.files import check_parquet, make_folder, parse_json
from tikval.sources.exports.archives import DAMAGED, check_members
from tikval.store.runs import Study
from tikval.study.bundle import FILE_KEYS, FORMAT, MADE, MANIFEST, NOT_HERE, STUDY, csv_bytes, csv_name
from tikval.study.bundle_numbers import (
    KEYS,
    Row,
    claims_again,
    evaluation_again,
    failure_counts,
    promise_again,
    promise_figures,
    rates_of_systems,
)

_NAME: Final = re.compile(r"(?:(?!\.)[\w.+=-]{1,120}/){0,4}(?!\.)[\w.+=-]{1,120}")
_MOST_FILES: Final = 5_000
_MOST_BYTES: Final = 2**33  # unpacked, in all
_MOST_RATIO: Final = 400  # times its packed size, of a file
_SMALL: Final = 2**20  # of this size a file may be packed as well as it can
_CLOSE: Final = 1e-6  # another machine adds in another order
_KINDS: Final[dict[str, type[JobConfig]]] = {
    kind.stage: kind
    for kind in (
        CascadeConfig,
        CatalogConfig,
        CombineConfig,
        DevelopmentConfig,
        EvaluateConfig,
        ExplainConfig,
        ExtractConfig,
        FaithfulnessConfig,
        FinetuneConfig,
        ScriptConfig,
        TuneConfig,
    )
}


@dataclass
class Checked:
    """What a check has found."""

    differs: list[str] = field(default_factory=list)  # a line each: file, row, column, stated and recomputed
    numbers: int = 0  # that were recomputed and are the same
    not_recomputed: list[str] = field(default_factory=list)

    def compare(self, file: str, table: str, stated: Sequence[Row], again: Sequence[Row]) -> None:
        """Compare the rows of a table with those that were computed again."""
        keys = KEYS[table]
        there, here = (_by_key(rows, keys) for rows in (stated, again))
        self.differs += [f"{file}: row {_named(key)} is missing" for key in here if key not in there]
        self.differs += [f"{file}: row {_named(key)} was added" for key in there if key not in here]
        for key in here.keys() & there.keys():
            for column, value in here[key].items():
                states = there[key].get(column)
                if _same(states, value):
                    self.numbers += isinstance(value, int | float)
                else:
                    self.differs.append(
                        f"{file}: row {_named(key)}, column {column}: states {states!r}, recomputed {value!r}"
                    )


def verify_bundle(file: str, folder: Path, say: Callable[[str], None] = lambda _: None) -> Checked:
    """Check a bundle, which is unpacked into an empty folder of one's own.

    Raises UserError for what is no bundle, and for an archive that may do harm.
    """
    manifest = _unpack(file, folder)
    found = Checked()
    say("files")
    _check_files(folder, manifest, found)
    _settle(folder, set(manifest["files"]))
    out = f"{folder}/{STUDY}"
    for step, check in (
        ("recipes", _check_recipes),
        ("counts", _check_counts),
        ("scores", _check_scores),
        ("rates", _check_rates),
        ("promises", _check_promises),
        ("claims", _check_claims),
    ):
        say(step)
        try:
            check(_study(out, manifest), folder, found)
        except (UserError, ValueError, KeyError, TypeError, IndexError, OSError) as err:
            what = " ".join(str(err).replace(f"{folder}/", "").split())
            found.differs.append(f"{step}: cannot be recomputed: {what[:300]}")
    found.not_recomputed += [
        "predictions, scripts and labels: the videos, the models and the people have to be asked again",
        *map(str, manifest.get("not_there", ())),
    ]
    return found


def _unpack(file: str, folder: Path) -> dict[str, Any]:
    """Unpack a bundle and return its manifest. Nothing is written before every file has been looked at."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            check_members(members, file, _NAME, _MOST_FILES)
            _check_sizes(members, file)
            if MANIFEST not in archive.namelist():
                raise UserError(f"{file}: not a bundle of tikval: it has no {MANIFEST}")
            for info in members:
                place = folder / info.filename
                make_folder(place.parent)
                with archive.open(info) as packed, place.open("xb") as target:
                    left = info.file_size
                    while data := packed.read(2**20):
                        left -= len(data)
                        if left < 0:
                            raise zipfile.BadZipFile(f"{info.filename} is longer than it says")
                        target.write(data)
    except DAMAGED as err:
        if isinstance(err, UserError):
            raise
        raise UserError(f"{file}: cannot be read as a bundle ({str(err)[:100]})") from err
    manifest: dict[str, Any] = parse_json((folder / MANIFEST).read_bytes(), f"{file}: {MANIFEST}")
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("format") != FORMAT:
        raise UserError(
            f"{file}: not a bundle that this version of tikval reads; install the one that made it"
        )
    return manifest


def _check_sizes(members: Sequence[zipfile.ZipInfo], file: str) -> None:
    names = [info.filename.casefold() for info in members]
    if len(set(names)) < len(names):
        raise UserError(f"{file}: has two files of one name")
    if (size := sum(info.file_size for info in members)) > _MOST_BYTES:
        raise UserError(f"{file}: would unpack to {size / 2**30:,.0f} GB, more than {_MOST_BYTES // 2**30}")
    for info in members:
        if info.file_size > max(_SMALL, _MOST_RATIO * info.compress_size):
            raise UserError(
                f"{file}: {info.filename} would unpack to {info.file_size / 2**20:,.0f} MB of nearly nothing"
            )


def _check_files(folder: Path, manifest: dict[str, Any], found: Checked) -> None:
    """Every file against the manifest, and every table against its .csv."""
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    stated = manifest["files"]
    found.differs += [f"{name}: is not in the manifest" for name in sorted(there - {*stated, MANIFEST, MADE})]
    found.differs += [f"{name}: is missing" for name in sorted(set(stated) - there)]
    for name in sorted(there & set(stated)):
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != stated[name]:
            found.differs.append(f"{name}: is not the file that the manifest names (another SHA-256)")
    for name in sorted(there):
        if not name.endswith(".parquet"):
            continue
        check_parquet(str(folder / name))
        made, csv = csv_bytes(pq.read_table(folder / name)), folder / csv_name(name)
        if not csv.is_file() or csv.read_bytes() != made:
            found.differs.append(f"{csv_name(name)}: {_first_difference(csv, made)} {name}")


def _first_difference(csv: Path, made: bytes) -> str:
    if not csv.is_file():
        return "is missing; it is the same table as"
    pairs = zip(csv.read_bytes().split(b"\r\n"), made.split(b"\r\n"), strict=False)
    line = next((n for n, (one, other) in enumerate(pairs, 1) if one != other), 0)
    return f"line {line} is another one than in" if line else "has other lines than"


def _settle(folder: Path, files: set[str]) -> None:
    """Let the recipes name the bundle's own files where they were unpacked, and no other file of this machine."""

    def settled(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: settled(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [settled(item, key) for item in value]
        if key == "out":
            return f"{folder}/{STUDY}"
        if key in FILE_KEYS and isinstance(value, str):
            return f"{folder}/{value}" if value in files else f"{folder}/{NOT_HERE}"
        return value

    for place in (folder / STUDY).glob("*/run.json"):
        told = parse_json(place.read_bytes(), place.name)
        if isinstance(told, dict):
            place.write_text(json.dumps(told | {"config": settled(told.get("config"))}), encoding="utf-8")


def _study(out: str, manifest: dict[str, Any]) -> Study:
    return Study(out, codebook=str(manifest["label_set"]) if manifest.get("label_set") else None)


def _check_recipes(study: Study, folder: Path, found: Checked) -> None:
    """A recipe's fingerprint is a hash of all that it names, codebook and prompts with their text."""
    for of, run in study.runs:
        where = f"{STUDY}/{of.name}/run.json"
        if NOT_HERE in json.dumps(run.config):
            found.not_recomputed.append(f"{where}: its recipe names a file that is not in the bundle")
            continue
        if run.stage not in _KINDS:
            continue
        kind = PredictConfig if "trained" in run.config else _KINDS[run.stage]
        fingerprint = validate(kind, run.config, where).fingerprint
        if (of.name, run.stage) != (f"{run.stage}-{fingerprint}", of.stage) or run.fingerprint != fingerprint:
            found.differs.append(
                f"{where}: states the recipe {run.fingerprint}; with the codebook and the prompts of this bundle it is "
                f"{fingerprint}: one of files/ is another one, or the recipe is, or tikval ({run.tikval})"
            )


def _check_counts(study: Study, folder: Path, found: Checked) -> None:
    """The counts of rows and failures, in run.json and in the table."""
    for of, run in study.runs:
        table = of.read()
        again = of.counted(run.files, None)[1] if "error" in table.column_names else {}
        for name, states, is_so in (("rows", run.rows, table.num_rows), ("failed", run.failed, again)):
            if states != is_so:
                found.differs.append(
                    f"{STUDY}/{of.name}/run.json: {name}: states {states!r}, recomputed {is_so!r} of data.parquet"
                )
    stated = pq.read_table(folder / "tables/failures.parquet").to_pylist()
    found.compare("tables/failures.parquet", "failures", stated, failure_counts(study))


def _check_scores(study: Study, folder: Path, found: Checked) -> None:
    latest = study.latest("scores")
    if latest is None:
        return
    of, run = latest
    again = evaluation_again(study, of, run)
    at = f"{STUDY}/{of.name}"
    found.compare(f"{at}/data.parquet", "scores", of.read().to_pylist(), [dict(row) for row in again.scores])
    for name, rows in (("comparisons", again.comparisons), ("slices", again.slices)):
        stated = of.read_side_table(name)
        found.compare(f"{at}/_{name}.parquet", name, stated, [dict(row) for row in rows])


def _check_rates(study: Study, folder: Path, found: Checked) -> None:
    again, _ = rates_of_systems(study)
    stated = pq.read_table(folder / "tables/rates.parquet").to_pylist()
    found.compare("tables/rates.parquet", "rates", stated, again)


def _check_promises(study: Study, folder: Path, found: Checked) -> None:
    """Each cascade's check of its promise, from the answers of both systems to the held-out videos."""
    for of, run in study.runs:
        if run.stage == CascadeConfig.stage and (stated := read_check(of)) is not None:
            again = promise_again(study, of, run)
            at = f"{STUDY}/{of.name}/check.json"
            found.compare(at, "promises", promise_figures(stated), promise_figures(again))


def _check_claims(study: Study, folder: Path, found: Checked) -> None:
    for family, claims, ways in claims_again(study):
        at = f"{STUDY}/{CLAIMS}/{family.name}"
        found.compare(f"{at}/claims.parquet", "claims", [dict(row) for row in family.claims], claims)
        found.compare(f"{at}/ways.parquet", "claim_ways", [dict(row) for row in family.ways], ways)


def _by_key(rows: Sequence[Row], keys: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    """Rows by what tells them apart; the second and further ones of one key, such as two recipes', by a number, too."""
    found, times = dict[tuple[Any, ...], Row](), Counter[tuple[Any, ...]]()
    for row in rows:
        key = tuple(row.get(name) for name in keys)
        times[key] += 1
        found[key if times[key] == 1 else (*key, times[key])] = row
    return found


def _named(key: tuple[Any, ...]) -> str:
    return ", ".join("none" if part is None else str(part) for part in key)


def _same(stated: Any, value: Any) -> bool:
    if isinstance(stated, float | int) and isinstance(value, float) and not isinstance(stated, bool):
        both_nan = math.isnan(stated) and math.isnan(value)
        return both_nan or math.isclose(stated, value, rel_tol=_CLOSE, abs_tol=1e-9)
    if value is not None and stated is None and isinstance(value, float):
        return math.isnan(value)
    return bool(stated == value)
