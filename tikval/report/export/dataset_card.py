"""The card of an exported data set: what is in it, where it comes from, what it must not be used for.

https://huggingface.co/docs/hub/datasets-cards
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import yaml

import tikval
from tikval.codebook import Codebook
from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import BASELINE, FAILURES, LEFT_OUT, RIGHT, WRONG
from tikval.report.export.card_text import NONE, render_card
from tikval.report.export.dataset_facts import DatasetFacts, SystemFacts, plain, public_name
from tikval.report.notices import LOCAL_NOTICE
from tikval.rows import ScoreRow

SPLIT: Final = "full"  # the one split of each configuration: nothing here is set aside for training


def dataset_card(facts: DatasetFacts, features: Mapping[str, pa.Schema]) -> str:
    """README.md. `features`: the columns of each configuration, whose data lie in a file of its name."""
    return render_card(
        "dataset_card.md.j2",
        head=_head(features),
        version=tikval.__version__,
        today=f"{datetime.now(UTC):%Y-%m-%d}",
        split=SPLIT,
        ids=facts.ids,
        naming=facts.naming,
        minors=facts.minors,
        labels=facts.labels,
        systems=[_system(system) for system in facts.systems],
        scores=_scores(facts),
        no_scores=facts.no_scores,
        baseline=BASELINE,
        values=_values(facts),
        notice=" ".join([LOCAL_NOTICE, *_not_calibrated(facts)])
        if any(s.local for s in facts.systems)
        else None,
    )


def _not_calibrated(facts: DatasetFacts) -> list[str]:
    return [plain(system.not_calibrated) for system in facts.systems if system.not_calibrated]


def _head(features: Mapping[str, pa.Schema]) -> str:
    """The card's metadata in YAML: which file is which configuration, and its columns."""
    configs: list[dict[str, Any]] = [
        {"config_name": name, "data_files": [{"split": SPLIT, "path": f"{name}.parquet"}]}
        for name in features
    ]
    configs[0]["default"] = True
    head = {
        "pretty_name": "Human values in short videos, ids and labels only",
        "license": "unknown",
        "tags": ["human-values", "schwartz-values", "tikval"],
        "configs": configs,
        "dataset_info": [
            {
                "config_name": name,
                "features": [{"name": field.name, "dtype": str(field.type)} for field in schema],
            }
            for name, schema in features.items()
        ],
    }
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip()


def _system(system: SystemFacts) -> dict[str, Any]:
    """A system's cells of both tables, and the values of which it does not tell all."""
    failures = system.coverage.failures
    changed = f"; {plain(system.model_change)}" if system.model_change else ""
    return {
        "name": system.name,
        "about": system.about,
        "models": _some([public_name(model) for model in system.models]) + changed,
        "codebook": f"{system.codebook.name}, version {system.codebook.version}",
        "recipe": system.recipe,
        "finished": system.finished_at[:10],
        "tikval": system.tikval,
        "modelled": f"{sum(system.modelled)} of {len(system.modelled)}",
        "videos": system.videos,
        "rows": system.coverage.rows,
        "results": system.coverage.results,
        "failed": ", ".join(f"{reason} {n}" for reason, n in failures.items()) or "0",
        "without": system.without,
        "partly": _partly(system),
    }


def _partly(system: SystemFacts) -> dict[str, list[str]]:
    """The values whose 0 does not mean absent, by the one stance that the system models, or "nothing"."""
    half = len(system.codebook.slugs)
    pairs = zip(system.codebook.slugs, system.modelled[:half], system.modelled[half:], strict=True)
    slugs: dict[str, list[str]] = {"endorsed": [], "confronted": [], "nothing": []}
    for slug, endorsed, confronted in pairs:
        if not (endorsed and confronted):
            slugs["endorsed" if endorsed else "confronted" if confronted else "nothing"].append(slug)
    return {what: found for what, found in slugs.items() if found}


def _scores(facts: DatasetFacts) -> list[tuple[str, list[str]]] | None:
    """Each system and each baseline, with its cells of the table; None where there are no scores."""
    if not facts.scores:
        return None
    at = {
        (row["system"], row["failures"], row["label"]): row for row in facts.scores if row["stance"] == "all"
    }
    baselines = [name for name in BASELINES if (name, LEFT_OUT, "macro") in at]
    lines = []
    for name in (*(system.name for system in facts.systems), *baselines):
        if (row := at.get((name, LEFT_OUT, "macro"))) is None:
            lines.append((f"`{name}`", ["not scored", *[NONE] * 4]))
            continue
        macro = {failures: at.get((name, failures, "macro")) for failures in FAILURES}
        weighted = at.get((name, LEFT_OUT, "weighted"))
        cells = [_f1(score) for score in (row, macro[WRONG], macro[RIGHT], weighted)]
        videos = f"{row['n_scored']} of {row['n_videos']}"
        lines.append((f"`{name}`{' (baseline)' if name in BASELINES else ''}", [*cells, videos]))
    return lines


def _f1(row: ScoreRow | None) -> str:
    if row is None or row["f1"] is None:
        return NONE
    low, high = row.get("lower"), row.get("upper")
    between = (
        "" if row["failures"] != LEFT_OUT or low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    )
    return f"{row['f1']:.3f}{between}"


def _values(facts: DatasetFacts) -> list[dict[str, str]]:
    """The values of all codebooks, each as the first codebook that has it defines it."""
    books: dict[str, Codebook] = {system.codebook.name: system.codebook for system in facts.systems}
    if facts.labels:
        books.setdefault(facts.labels.codebook.name, facts.labels.codebook)
    values = {value.slug: value for book in reversed(books.values()) for value in book.values}
    return [
        {"slug": value.slug, "title": plain(value.title), "definition": plain(value.definition)}
        for value in values.values()
    ]


def _some(names: Sequence[str]) -> str:
    names = sorted(set(names))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else NONE
