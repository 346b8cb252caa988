"""A family of claims, tested on a study as it is now: what `tikval claim` does, without a word on the screen.

OUT/claims/NAME/
  declared.json              what was declared, and what was known by then
  look-001.json              each look, and what it has spent and shown
  claims.parquet, .csv       a row per claim (ClaimRow)
  ways.parquet, ways.csv     a row per claim and way of measuring it (ClaimWayRow)
  methods.txt                how it was done, with its numbers, for a paper
  examples.json              videos for and against each claim, by row key
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from tikval.claims.declaration import (
    Declaration,
    check_claims,
    check_unchanged,
    deciding_system,
    family_folder,
    note_exploration,
    read_declaration,
)
from tikval.claims.digest import answers_digest
from tikval.claims.examples import claim_examples
from tikval.claims.families import EXAMPLES, METHODS, ClaimFamily
from tikval.claims.looks import LabelLook, alpha_of_next, check_looks_left, data_state, read_looks, write_look
from tikval.claims.measure import measure_claims, more_labels
from tikval.claims.measured import MeasuredClaim
from tikval.claims.methods import methods_of, sample_of
from tikval.claims.population import Population, read_population
from tikval.claims.verdict import Grounds, Verdict, agrees, judge
from tikval.claims.wording import sentence_of
from tikval.codebook import Codebook
from tikval.config.claims import ClaimsConfig
from tikval.evaluate.compare import holm
from tikval.files import write_bytes, write_table
from tikval.rows import ClaimRow, ClaimWayRow, arrow_schema
from tikval.spreadsheet import csv_of_table
from tikval.store.lock import lock
from tikval.store.runs import Study

EXPLORATORY: Final = "the labels were known when the claims were written: exploratory, whatever p is"


@dataclass(frozen=True)
class FamilyResult:
    """What a look has found."""

    folder: str
    claims: list[ClaimRow]
    ways: list[ClaimWayRow]
    declared: Declaration | None  # None: exploratory
    looks: list[LabelLook]  # all so far, this one last; [] of an exploratory family
    is_new: bool  # this look has spent something
    notes: list[str]


def look_at_claims(
    study: Study, config: ClaimsConfig, text: str, now: datetime | None = None
) -> FamilyResult:
    """Test a family on the labels that are there, and write what comes out.

    Raises UserError for a file that is not the one that was declared, for claims that this study cannot test, and
    where all looks are used.
    """
    folder = family_folder(study.out, config.name)
    with lock(folder):
        declared = read_declaration(study.out, config.name)
        if declared is not None:
            check_unchanged(declared, text, study.label_set)
        check_claims(config, study.codebook())
        system = declared.system if declared else deciding_system(study, config)
        config = config.model_copy(update={"system": system})
        looks = read_looks(study.out, config.name) if declared else []
        state = data_state(study, system, config.annotator)
        is_new = declared is not None and (not looks or looks[-1].data_sha != state)
        if is_new:
            check_looks_left(config, looks)
        population, found = _measure(study, config, declared)
        now = now or datetime.now(UTC)
        is_new = is_new and found.labelled > 0  # without a label there is nothing to be fooled by
        if is_new:
            looks = [*looks, _new_look(config, looks, found, state, now)]
            write_look(study.out, config.name, looks[-1])  # first: what was seen is spent
        elif declared is None:
            note_exploration(study, config, text, population, now)
        codebook = study.codebook()
        claims, ways = _claim_rows(config, codebook, found, declared, looks), _way_rows(config, found)
        answers = answers_digest(study.systems()[system][0])
        methods = methods_of(config, codebook, declared, looks, claims, ways, sample_of(population), answers)
        write_bytes(f"{folder}/{METHODS}", methods.encode())
        estimates = {row["claim"]: row["estimate"] for row in claims}
        examples = json.dumps(claim_examples(config, population, estimates), indent=2)
        write_bytes(f"{folder}/{EXAMPLES}", examples.encode())
        _write_tables(folder, claims, ways)
        return FamilyResult(folder, claims, ways, declared, looks, is_new, list(population.notes))


def recomputed_claims(study: Study, family: ClaimFamily) -> tuple[list[ClaimRow], list[ClaimWayRow]]:
    """What the last look of a family has found, computed anew out of the study; nothing is written."""
    declared = family.declaration if family.is_declared else None
    config = family.config.model_copy(update={"system": family.declaration.system})
    _, found = _measure(study, config, declared)
    return _claim_rows(config, study.codebook(), found, declared, family.looks), _way_rows(config, found)


def _measure(
    study: Study, config: ClaimsConfig, declared: Declaration | None
) -> tuple[Population, "_Measured"]:
    known = frozenset(declared.labelled if declared else ())
    population = read_population(study, config, known_before=known)
    return population, _Measured.of(config, measure_claims(config, population))


@dataclass(frozen=True)
class _Measured:
    """What was measured of each claim: by what decides, and in every other way."""

    deciding: Mapping[str, MeasuredClaim]
    others: Mapping[str, Sequence[MeasuredClaim]]
    p_holm: Mapping[str, float]  # 1 where there is no p: the family is as large as it was declared

    @classmethod
    def of(cls, config: ClaimsConfig, measured: Sequence[MeasuredClaim]) -> "_Measured":
        deciding: dict[str, MeasuredClaim] = {}
        others: dict[str, list[MeasuredClaim]] = {name: [] for name in config.claims}
        for one in measured:
            if one.way == "corrected" and one.system == config.system and one.claim not in deciding:
                deciding[one.claim] = one
            else:
                others[one.claim].append(one)
        p_values = [1.0 if (p := deciding[name].p) is None else p for name in config.claims]
        p_holm = zip(config.claims, holm(p_values), strict=True)
        return cls(deciding, others, {name: 1.0 if p is None else p for name, p in p_holm})

    @property
    def labelled(self) -> int:
        return max(map(_labelled, self.deciding.values()))


def _labelled(one: MeasuredClaim) -> int:
    return one.labelled_a + (one.labelled_b or 0)


def _new_look(
    config: ClaimsConfig, looks: Sequence[LabelLook], found: _Measured, state: str, now: datetime
) -> LabelLook:
    alpha = alpha_of_next(config, looks, found.labelled)
    before = {name for look in looks for name in look.shown}
    shown = tuple(name for name, p in found.p_holm.items() if p <= alpha and name not in before)
    at = now.isoformat(timespec="seconds")
    return LabelLook(len(looks) + 1, at, state, alpha, found.labelled, shown, dict(found.p_holm))


def _claim_rows(
    config: ClaimsConfig,
    codebook: Codebook,
    found: _Measured,
    declared: Declaration | None,
    looks: Sequence[LabelLook],
) -> list[ClaimRow]:
    shown_at = {name: look.number for look in looks for name in look.shown}
    alpha, titles = looks[-1].alpha if looks else config.alpha, codebook.titles
    rows: list[ClaimRow] = []
    for name, claim in config.claims.items():
        one = found.deciding[name]
        more = (
            more_labels(one, alpha / len(config.claims))
            if one.p is not None and name not in shown_at
            else None
        )
        p_holm = None if one.p is None else found.p_holm[name]
        grounds = Grounds(claim, one, found.others[name], p_holm, alpha, shown_at.get(name), more)
        verdict, why = judge(grounds) if declared else (Verdict.NOT_DECLARED, EXPLORATORY)
        rows.append(
            {
                "family": config.name,
                "claim": name,
                "sentence": sentence_of(claim, titles),
                "label": claim.label,
                "verdict": verdict.value,
                "why": why,
                "declared_at": declared.at if declared else None,
                "declared_sha": declared.sha256 if declared else None,
                "look": len(looks),
                "alpha": alpha,
                "system": config.system,
                "estimate": one.estimate,
                "lower": one.lower,
                "upper": one.upper,
                "p": one.p,
                "p_holm": p_holm,
                "accounts_a": one.accounts_a,
                "accounts_b": one.accounts_b,
                "labelled": _labelled(one),
                "more_labels": more,
            }
        )
    return rows


def _way_rows(config: ClaimsConfig, found: _Measured) -> list[ClaimWayRow]:
    return [
        {
            "family": config.name,
            "claim": name,
            "way": one.way,
            "system": one.system,
            "prompt_sha": one.prompt_sha,
            "sample": one.sample,
            "seed": one.seed,
            "estimate": one.estimate,
            "lower": one.lower,
            "upper": one.upper,
            "p": one.p,
            "agrees": agrees(claim, one.estimate, found.deciding[name].estimate),
            "accounts_a": one.accounts_a,
            "accounts_b": one.accounts_b,
            "videos_a": one.videos_a,
            "videos_b": one.videos_b,
            "labelled_a": one.labelled_a,
            "labelled_b": one.labelled_b,
            "why_none": one.why_none,
        }
        for name, claim in config.claims.items()
        for one in (found.deciding[name], *found.others[name])
    ]


def _write_tables(folder: str, claims: list[ClaimRow], ways: list[ClaimWayRow]) -> None:
    for name, kind, rows in (("claims", ClaimRow, claims), ("ways", ClaimWayRow, ways)):
        table = pa.Table.from_pylist(list(rows), schema=arrow_schema(kind))
        write_table(f"{folder}/{name}.parquet", table)
        write_bytes(f"{folder}/{name}.csv", csv_of_table(table).to_pybytes())
