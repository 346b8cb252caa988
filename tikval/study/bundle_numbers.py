"""The numbers that a bundle states, made of a study's rows: once for the bundle, and once more by who checks it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from tikval.claims.families import ClaimFamily, read_families
from tikval.claims.family import recomputed_claims
from tikval.config import CascadeConfig, EvaluateConfig, UserError, validate
from tikval.evaluate.cascade_plan import KeptPlan, check_plan
from tikval.evaluate.cascade_sample import SAMPLED, read_cheap, read_sample
from tikval.evaluate.corpus import ANNOTATIONS
from tikval.evaluate.development import without_development
from tikval.evaluate.evaluation import Evaluation
from tikval.evaluate.prevalence import prevalence_of
from tikval.evaluate.score_systems import evaluation_of
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import Study

Row = dict[str, Any]
KEYS: Final[dict[str, tuple[str, ...]]] = {  # what tells two rows of a table apart
    "scores": ("system", "label_set", "failures", "stance", "label"),
    "comparisons": ("system_a", "system_b", "metric"),
    "slices": ("system", "by", "slice", "metric"),
    "rates": ("system", "by", "group", "what"),
    "failures": ("folder", "reason"),
    "promises": ("figure",),
    "claims": ("family", "claim"),
    "claim_ways": ("family", "claim", "way", "system", "prompt_sha", "sample", "seed"),
}
NO_FAILURE: Final = "rows"  # how many rows a folder has in all


def rates_of_systems(study: Study) -> tuple[list[Row], list[str]]:
    """Rates of every system and of the annotators, in all and by genre, raw and corrected; and what has none."""
    rows, notes = list[Row](), list[str]()
    for system in [*sorted(study.systems()), *([ANNOTATIONS] if study.annotations() else [])]:
        for by in (None, "genre"):
            try:
                lines = prevalence_of(study, system, by).lines
            except UserError as err:
                if by is None:
                    notes.append(f"rates of {system}: {err}")
                continue
            rows += [{"system": system, "by": by or "all", **asdict(line)} for line in lines]
    return rows, notes


def failure_counts(study: Study) -> list[Row]:
    """How many rows each folder has, and how many of them failed, by reason."""
    rows: list[Row] = []
    for folder, run in study.runs:
        if not run.files or run.stage in ("scores", "report", "embeddings", "pretrain", "sweep"):
            continue
        reasons = Counter(folder.read(["error"])["error"].to_pylist())
        rows.append({"folder": folder.name, "reason": NO_FAILURE, "videos": sum(reasons.values())})
        rows += [
            {"folder": folder.name, "reason": reason, "videos": n}
            for reason, n in sorted(reasons.items(), key=str)
            if reason
        ]
    return rows


def evaluation_again(study: Study, folder: Folder, run: FolderRun) -> Evaluation:
    """A study's scores, computed from the rows that lie there. Raises UserError where they cannot be."""
    config = validate(EvaluateConfig, run.config, folder.uri)
    names = [uri.rstrip("/").rpartition("/")[2] for uri in run.inputs]
    catalog, *systems = (Folder(f"{study.out}/{name}") for name in names)
    upstream = dict(zip((one.system for one in config.predictions), systems, strict=False))
    if len(upstream) > len(systems):
        raise UserError(f"{folder.uri}: names fewer folders than systems")
    labels, _ = without_development(catalog.read_side_table("labels"), catalog)
    return evaluation_of(config, study.codebook(), labels, catalog, upstream)


def promise_figures(check: Mapping[str, Any]) -> list[Row]:
    """A row for each figure of a cascade's check.json, by its place there."""

    def figures(value: Any, place: str) -> Iterator[Row]:
        if isinstance(value, Mapping | list | tuple):
            parts = value.items() if isinstance(value, Mapping) else enumerate(value)
            for name, part in parts:
                yield from figures(part, f"{place}.{name}" if place else str(name))
        else:
            yield {"figure": place, "value": value}

    return list(figures(check, ""))


def promise_again(study: Study, folder: Folder, run: FolderRun) -> Row:
    """What check.json of a cascade must say, from both systems' rows. Raises UserError where they are not there."""
    config = validate(CascadeConfig, run.config, folder.uri)
    plan = KeptPlan.read(folder)
    if plan is None:
        raise UserError(f"{folder.uri}: has no plan")
    cheap = read_cheap(Folder(config.cheap.folder), Folder(config.catalog.folder), config.cheap.system)
    sample = read_sample(folder, [run.side_tables[SAMPLED]], cheap)
    by = Counter(folder.read(["answered_by"])["answered_by"].drop_null().to_pylist())
    return check_plan(config, study.codebook(), cheap, sample, plan.plan) | {"answered_by": by}


def claims_again(study: Study) -> Iterator[tuple[ClaimFamily, list[Row], list[Row]]]:
    """Each family of claims with its rows and those of the ways of measuring, computed from what lies there."""
    for family in read_families(study.out, study.label_set):
        if family.claims:
            claims, ways = recomputed_claims(study, family)
            yield family, [dict(row) for row in claims], [dict(row) for row in ways]
