"""All families of a study as they lie there: for the list, the report's page and what else shows them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from tikval.claims.declaration import (
    Declaration,
    claims_of,
    family_folder,
    family_names,
    read_declaration,
    read_exploration,
)
from tikval.claims.looks import LabelLook, data_state, read_looks
from tikval.config import UserError
from tikval.config.base import parse_yaml
from tikval.config.claims import ClaimsConfig
from tikval.files import parse_json, read_bytes
from tikval.rows import ClaimRow, ClaimWayRow
from tikval.store.runs import Study
from tikval.store.tables import read_table_of

METHODS: Final = "methods.txt"
EXAMPLES: Final = "examples.json"
Side = Literal["for", "against"]
Examples = Mapping[str, Mapping[Side, list[str]]]  # by claim: row keys of videos


@dataclass(frozen=True)
class ClaimFamily:
    """A family with what its last look has found; `claims` is () where nobody has looked yet."""

    folder: str
    config: ClaimsConfig
    declaration: Declaration  # or, where `is_declared` is False, what was looked at without one
    is_declared: bool
    looks: tuple[LabelLook, ...]
    claims: tuple[ClaimRow, ...]
    ways: tuple[ClaimWayRow, ...]
    methods: str
    examples: Examples

    @property
    def name(self) -> str:
        return self.config.name


def read_families(out: str, label_set: str | None = None) -> list[ClaimFamily]:
    """The families of a study over one codebook (None: over any), by name. Raises UserError for what is not ours."""
    found = (_family(out, name) for name in family_names(out))
    return [one for one in found if one is not None and label_set in (None, one.declaration.label_set)]


def is_outdated(study: Study, family: ClaimFamily) -> bool:
    """Whether labels or predictions have changed since the last look at a declared family."""
    system = family.declaration.system
    if not family.looks:
        return False
    return (
        system not in study.systems()
        or data_state(study, system, family.config.annotator) != family.looks[-1].data_sha
    )


def families_state(out: str, label_set: str) -> str:
    """Changes whenever a page of these families would; "" where there are none."""
    digest = hashlib.sha256()
    families = read_families(out, label_set)
    for one in families:
        shown = (one.declaration, one.is_declared, one.looks, one.claims, one.ways, one.methods, one.examples)
        digest.update(repr(shown).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16] if families else ""


def _family(out: str, name: str) -> ClaimFamily | None:
    declared = read_declaration(out, name)
    declaration, folder = declared or read_exploration(out, name), family_folder(out, name)
    if declaration is None:  # another command has just begun it
        return None
    try:
        config = claims_of(parse_yaml(declaration.text), folder)
    except ValueError as err:
        raise UserError(f"{folder}: {err}") from err
    # what was explored before it was declared, or under another text, is not of this family
    sha = declared.sha256 if declared else None
    claims = [
        row
        for row in _rows(f"{folder}/claims.parquet", "claims")
        if row["declared_sha"] == sha and row["claim"] in config.claims
    ]
    tested = {row["claim"] for row in claims}
    return ClaimFamily(
        folder=folder,
        config=config,
        declaration=declaration,
        is_declared=declared is not None,
        looks=tuple(read_looks(out, name)) if declared else (),
        claims=tuple(claims),
        ways=tuple(row for row in _rows(f"{folder}/ways.parquet", "claim_ways") if row["claim"] in tested),
        methods=(read_bytes(f"{folder}/{METHODS}") or b"").decode("utf-8", "replace"),
        examples=_examples(f"{folder}/{EXAMPLES}"),
    )


def _rows(place: str, table: str) -> list[Any]:
    try:
        return list(read_table_of(place, table).to_pylist())
    except FileNotFoundError:
        return []


def _examples(place: str) -> Examples:
    data = read_bytes(place)
    try:
        return TypeAdapter(Examples).validate_python(parse_json(data, place)) if data else {}
    except ValidationError as err:
        raise UserError(f"{place}: not what tikval wrote there") from err
