"""A family of claims as it was declared: the text of its file with the date, and what was known by then.

    OUT/claims/NAME/declared.json
    OUT/claims/NAME/explored.json    of a family that was looked at without having been declared: what it was last

A claim that somebody reads out of the labels is true of these labels by selection. So the file is kept as it was, one
that was changed since is another family, and labels that were there already are not the truth of any test.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final, Self

import pyarrow.fs as pafs
from pydantic import TypeAdapter, ValidationError

import tikval
from tikval.claims.digest import answers_digest
from tikval.claims.population import Population, read_population
from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.config.base import find_file, parse_yaml, validate
from tikval.config.claims import Claim, ClaimsConfig
from tikval.evaluate.video_groups import COLUMNS
from tikval.files import filesystem, parse_json, read_bytes, write_bytes
from tikval.store.lock import lock
from tikval.store.runs import Study

FOLDER: Final = "claims"  # below a study's
_DECLARED: Final = "declared.json"
_EXPLORED: Final = "explored.json"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_CHANGED: Final = "declare it under another name, as another family"


@dataclass(frozen=True)
class SystemThen:
    """A system that had finished when a family was declared."""

    system: str
    recipe: str  # its fingerprint
    answers: str  # their digest


@dataclass(frozen=True)
class Declaration:
    name: str
    text: str  # of the file
    sha256: str  # of that text
    declared_at: str  # ISO 8601, UTC
    label_set: str
    system: str  # whose corrected rates decide, whatever systems come later
    systems: tuple[SystemThen, ...]
    labelled: tuple[str, ...]  # ids of the videos whose labels were known: no truth for a test of this family
    explored: int  # how often the labels were looked at before, under this name
    tikval: str

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Self:
        """Raises UserError for a file that `to_json` did not write."""
        try:
            found = TypeAdapter(cls).validate_python(parse_json(data, where))
        except ValidationError as err:
            raise UserError(f"{where}: not what tikval wrote there") from err
        if found.sha256 != text_sha(found.text):
            raise UserError(f"{where}: was changed by hand: the text is not the one whose hash stands there")
        return found

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.declared_at)


def text_sha(text: str) -> str:
    """64 hex digits of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_claims(path: str) -> tuple[ClaimsConfig, str]:
    """A file of claims and its text, with plain line ends. Raises UserError that names the file and what is wrong."""
    try:
        text = find_file(path).read_text(encoding="utf-8").replace("\r\n", "\n")
        data = parse_yaml(text)
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: not UTF-8 text (byte {err.start})") from err
    except ValueError as err:
        raise UserError(f"{path}: {err}") from err
    return claims_of(data, path), text


def claims_of(data: Any, where: str) -> ClaimsConfig:
    """A parsed file as a family. Raises UserError where it is none."""
    if not isinstance(data, dict):
        raise UserError(f"{where}: a file of claims is a mapping of keys to values")
    return validate(ClaimsConfig, data, where)


def family_folder(out: str, name: str) -> str:
    return f"{out}/{FOLDER}/{name}"


def read_declaration(out: str, name: str) -> Declaration | None:
    """What was declared under a name; None: nothing."""
    return _read(out, name, _DECLARED)


def read_exploration(out: str, name: str) -> Declaration | None:
    """What was looked at under a name without having been declared; None: nothing."""
    return _read(out, name, _EXPLORED)


def _read(out: str, name: str, file: str) -> Declaration | None:
    place = f"{family_folder(out, name)}/{file}"
    data = read_bytes(place)
    return None if data is None else Declaration.from_json(data, place)


def family_names(out: str) -> list[str]:
    """Names of all families of a study, declared or explored."""
    fs, path = filesystem(f"{out}/{FOLDER}")
    infos = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    folders = (info.base_name for info in infos if info.type == pafs.FileType.Directory)
    return sorted(name for name in folders if _NAME.fullmatch(name))


def note_exploration(
    study: Study, config: ClaimsConfig, text: str, population: Population, now: datetime
) -> None:
    """Note that the labels were looked at for claims that nobody had declared."""
    before = read_exploration(study.out, config.name)
    made = _declaration(study, config, text, population, now)
    made = replace(made, explored=(before.explored if before else 0) + 1)
    write_bytes(f"{family_folder(study.out, config.name)}/{_EXPLORED}", made.to_json())


def declaration_of(
    study: Study, config: ClaimsConfig, text: str, now: datetime | None = None
) -> tuple[Declaration, bool]:
    """The declaration of a family, made now where there is none, and whether it was made now.

    Raises UserError for a file that is not the one that was declared, and for claims that this study cannot test.
    """
    with lock(family_folder(study.out, config.name)):
        there = read_declaration(study.out, config.name)
        if there is not None:
            check_unchanged(there, text, study.label_set)
            return there, False
        check_claims(config, study.codebook())
        # first: a group that is misspelt would be declared for good
        population = read_population(study, config)
        made = _declaration(study, config, text, population, now or datetime.now(UTC))
        write_bytes(f"{family_folder(study.out, config.name)}/{_DECLARED}", made.to_json())
        return made, True


def _declaration(
    study: Study, config: ClaimsConfig, text: str, population: Population, now: datetime
) -> Declaration:
    annotated = {row["video_id"] for row in study.annotations()}
    explored = read_exploration(study.out, config.name)
    return Declaration(
        name=config.name,
        text=text,
        sha256=text_sha(text),
        declared_at=now.isoformat(timespec="seconds"),
        label_set=study.label_set,
        system=deciding_system(study, config),
        systems=tuple(
            SystemThen(one.system, one.run.fingerprint, answers_digest(one.folder))
            for one in study.current(study.label_set)
        ),
        labelled=tuple(sorted(annotated | population.labelled)),
        explored=explored.explored if explored else 0,
        tikval=tikval.__version__,
    )


def deciding_system(study: Study, config: ClaimsConfig) -> str:
    """The system whose corrected rates decide: the one that is named, else the first by name.

    Raises UserError where it is not there.
    """
    there = sorted(study.systems())
    if not there or config.system not in (None, *there):
        wanted = f"no system {config.system}" if config.system else "no system has judged its videos yet"
        raise UserError(
            f"{study.out}: {wanted}; there are {', '.join(there) or 'none'} over {study.label_set}"
        )
    return config.system or there[0]


def check_unchanged(declared: Declaration, text: str, label_set: str) -> None:
    """Raises UserError, with the line, where a file is not the one that was declared, or over another codebook."""
    if declared.label_set != label_set:
        raise UserError(
            f"{declared.name}: was declared over {declared.label_set}; "
            f"--codebook {declared.label_set} tests it, another name declares it over {label_set}"
        )
    if declared.text == text:
        return
    lines = itertools.zip_longest(declared.text.splitlines(), text.splitlines())
    differ = ((n, then, now) for n, (then, now) in enumerate(lines, 1) if then != now)
    n, then, now = next(differ, (0, "", ""))
    what = f"line {n} was {_short(then)} and is {_short(now)}" if n else "its last line has another end"
    when = declared.declared_at[:10]
    raise UserError(f"{declared.name}: has changed since it was declared on {when}: {what}; {_CHANGED}")


def _short(line: str | None) -> str:
    return "nothing" if line is None else repr(line.strip()[:80])


def check_claims(config: ClaimsConfig, codebook: Codebook) -> None:
    """Raises UserError for a label that the codebook does not have, and for a column that no catalog has."""
    for name, claim in config.claims.items():
        _known(claim.label, codebook.labels, f"{config.name}: claims.{name}.label", "label")
        for part, columns in _parts(claim):
            for column in columns:
                _known(column, COLUMNS, f"{config.name}: claims.{name}.{part}", "column")


def _parts(claim: Claim) -> list[tuple[str, list[str]]]:
    against = claim.against if isinstance(claim.against, dict) else {}
    return [("group", list(claim.group)), ("against", list(against))]


def _known(word: str, words: Sequence[str], where: str, what: str) -> None:
    if word not in words:
        near = get_close_matches(word, words, 1)
        hint = f"is {near[0]} meant?" if near else f"there are {', '.join(words)}"
        raise UserError(f"{where}: no {what} {word[:60]!r}; {hint}")
