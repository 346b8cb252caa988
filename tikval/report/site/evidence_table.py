"""The evidence of each system in numbers: how much of it was found, and what the deletion test says of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tikval.config import ExplainConfig, ReportConfig
from tikval.evaluate.evidence_counts import EvidenceSources, count_evidence
from tikval.report.display import display_name, two
from tikval.report.how_sure import Ends, HowSure
from tikval.report.site.contrasts import signed
from tikval.report.site.record import SystemEvidence
from tikval.stats.deletion import deletion_gap
from tikval.store.folder import Folder
from tikval.store.runs import Study


def deletion_tests(study: Study, systems: Sequence[Any]) -> dict[str, Folder]:
    """The deletion test of each system that has one of what lies there now, by name; the last one counts."""
    names = {Folder(system.folder).name: system.system for system in systems}
    found: dict[str, tuple[str, Folder]] = {}
    for folder, run in study.runs:
        if run.stage != ExplainConfig.stage or not study.reads_what_is_there(run):
            continue
        for system in {names[name] for uri in run.inputs if (name := Folder(uri).name) in names}:
            found[system] = max(found.get(system, ("", folder)), (run.finished_at, folder), key=_finished)
    return {system: folder for system, (_, folder) in found.items()}


def _finished(pair: tuple[str, Folder]) -> str:
    return pair[0]


def system_evidence(
    config: ReportConfig, places: Mapping[str, Folder], recognised: Folder | None, labels: Sequence[str]
) -> tuple[SystemEvidence, ...]:
    """The evidence of the report's systems, of those that give any; `places` as StudyRows has them."""
    catalog = Folder(config.scores.catalog.folder)
    tests = deletion_tests(Study(config.out), config.scores.predictions)
    found = []
    for system in config.scores.predictions:
        scripts = Folder(system.scripts.folder) if system.scripts else None
        sources = EvidenceSources(catalog, scripts, recognised)
        counts = count_evidence(places[f"values: {system.system}"], sources, labels)
        test = tests.get(system.system)
        gap = deletion_gap(test.read().to_pylist()) if test else None
        if counts is not None:
            found.append(SystemEvidence(system.system, counts, gap))
    return tuple(found)


def evidence_lines(evidence: Sequence[SystemEvidence]) -> list[dict[str, Any]]:
    """A line per system: its passages by what became of them, and its stances."""
    return [
        {
            "system": display_name(one.system),
            "counts": one.counts,
            "share": two(one.counts.not_found_share),
        }
        for one in evidence
    ]


def deletion_table(evidence: Sequence[SystemEvidence]) -> dict[str, Any]:
    """A line per tested system: how often labels went without their evidence, and without other text; the gap."""
    tested = [(one.system, one.gap) for one in evidence if one.gap]
    ends = {system: Ends(*gap.interval[:3], gap.accounts) for system, gap in tested}
    sure = HowSure(ends.values())
    lines = [
        {
            "system": display_name(system),
            "evidence": two(gap.evidence),
            "controls": two(gap.controls),
            "gap": {"value": signed(gap.gap), "interval": sure.spread(ends[system])},
            "n": gap,
        }
        for system, gap in tested
    ]
    return {"lines": lines, "below": sure.lines}
