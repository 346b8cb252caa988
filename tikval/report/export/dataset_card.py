"""The card of an exported data set: what is in it, where it comes from, what it must not be used for.

https://huggingface.co/docs/hub/datasets-cards
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import yaml

import tikval
from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import BASELINE, FAILURES, LEFT_OUT, RIGHT, WRONG
from tikval.report.export.dataset_facts import DatasetFacts, SystemFacts, plain, public_name
from tikval.report.site.facts import LOCAL_NOTICE
from tikval.rows import ScoreRow

SPLIT: Final = "full"  # the one split of each configuration: nothing here is set aside for training
NONE: Final = "–"  # noqa: RUF001 - nothing to say


def dataset_card(facts: DatasetFacts, features: Mapping[str, pa.Schema]) -> str:
    """README.md. `features`: the columns of each configuration, whose data lie in a file of its name."""
    parts = (_head(features), _title(facts), _systems(facts), _scores(facts), _coding(facts), _limits(facts))
    return "\n".join([*(line for part in parts for line in part), ""])


def _head(features: Mapping[str, pa.Schema]) -> list[str]:
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
    return ["---", yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(), "---"]


def _title(facts: DatasetFacts) -> list[str]:
    lines = [
        "# Human values in short videos: ids and labels",
        "",
        f"Which human values each video (or text) endorses or confronts: {facts.ids} ids, "
        f"{len(facts.systems)} system{'s' * (len(facts.systems) != 1)}. "
        f"Written by tikval {tikval.__version__} on {datetime.now(UTC):%Y-%m-%d}. "
        "No pictures, sound, scripts, captions, account names, addresses or dates of posts are in it, but for what an "
        "id may hold (see the limits).",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'predictions = load_dataset("THIS FOLDER", "predictions", split="{SPLIT}")',
        *([f'labels = load_dataset("THIS FOLDER", "labels", split="{SPLIT}")'] if facts.labels else []),
        "```",
        "",
    ]
    if (known := facts.labels) is not None:
        lines += [
            f"`labels`: {known.rows} annotations by {known.annotators} annotator{'s' * (known.annotators != 1)} "
            f"(numbered, not named) of {known.videos} videos, {known.listed} of which the catalog lists. Codebook "
            f"{known.codebook.name}, version {known.codebook.version}.",
            "",
        ]
    return lines


def _systems(facts: DatasetFacts) -> list[str]:
    lines = [
        "## What was run",
        "| system | what it is | models that answered | codebook | recipe | finished | tikval |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for system in facts.systems:
        book = f"{system.codebook.name}, version {system.codebook.version}"
        when = system.finished_at[:10]
        models = _some([public_name(model) for model in system.models])
        lines.append(
            f"| `{system.name}` | {system.about} | {models} | {book} | `{system.recipe}` | {when} | {system.tikval} |"
        )
    lines += [
        "",
        "## What came out, and what failed",
        'A failure has a reason in `error` and no values: it is not "absent".',
        "",
        "| system | labels modelled | videos | rows | with a result | failed | of the catalog, without a row |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for system in facts.systems:
        got = system.coverage
        failed = ", ".join(f"{reason} {n}" for reason, n in got.failures.items()) or "0"
        cells = (
            f"`{system.name}`",
            f"{sum(system.modelled)} of {len(system.modelled)}",
            *(str(n) for n in (system.videos, got.rows, got.results)),
            failed,
            str(system.without),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _scores(facts: DatasetFacts) -> list[str]:
    lines = ["## Scores"]
    if not facts.scores:
        return [*lines, f"None: {facts.no_scores}.", ""]
    at = {
        (row["system"], row["failures"], row["label"]): row for row in facts.scores if row["stance"] == "all"
    }
    lines += [
        "Against the annotations, over the labels that the evaluation averages; in brackets the 95 % interval of the "
        f"accounts. `{BASELINE}` says every label of every video: a system below it has found nothing. A "
        "system is averaged over labels that it models: compare those that model the same.",
        "",
        "| | macro F1 | failures counted as wrong | as right | weighted F1 | videos |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    baselines = [name for name in BASELINES if (name, LEFT_OUT, "macro") in at]
    for name in (*(system.name for system in facts.systems), *baselines):
        if (row := at.get((name, LEFT_OUT, "macro"))) is None:
            lines.append(f"| `{name}` | not scored |" + f" {NONE} |" * 4)
            continue
        macro = {failures: at.get((name, failures, "macro")) for failures in FAILURES}
        cells = (
            _f1(row),
            _f1(macro[WRONG]),
            _f1(macro[RIGHT]),
            _f1(at.get((name, LEFT_OUT, "weighted"))),
            f"{row['n_scored']} of {row['n_videos']}",
        )
        lines.append(f"| `{name}`{' (baseline)' if name in BASELINES else ''} | {' | '.join(cells)} |")
    return [*lines, ""]


def _f1(row: ScoreRow | None) -> str:
    if row is None or row["f1"] is None:
        return NONE
    low, high = row.get("lower"), row.get("upper")
    between = (
        "" if row["failures"] != LEFT_OUT or low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    )
    return f"{row['f1']:.3f}{between}"


def _coding(facts: DatasetFacts) -> list[str]:
    books = {system.codebook.name: system.codebook for system in facts.systems}
    if facts.labels:
        books.setdefault(facts.labels.codebook.name, facts.labels.codebook)
    lines = [
        "## Label coding",
        "| column | |",
        "| --- | --- |",
        "| `video_id` | the id of the catalog, or of a text |",
        "| `system` | who says it (`predictions`) |",
        "| `split`, `fold`, `seed` | of a trained system: partition, the fold that was held out, the training's seed |",
        "| `sample` | of a language model that was asked several times |",
        "| `error` | why there is no result; then all values are empty |",
        "| `annotator` | number of who says it (`labels`) |",
        "| a value | 1 endorsed, 0 absent, -1 confronted; in `labels` also 2: endorsed and dominant. Empty: the system "
        "does not model it, or failed |",
        "",
        "In `predictions` a value for which a system says both labels has the one with the higher score.",
        *(f"* {said}" for system in facts.systems if (said := _partly(system))),
        "",
        "| value | title | definition |",
        "| --- | --- | --- |",
    ]
    values = {value.slug: value for book in reversed(books.values()) for value in book.values}
    lines += [
        f"| `{value.slug}` | {plain(value.title)} | {plain(value.definition)} |" for value in values.values()
    ]
    return [*lines, ""]


def _partly(system: SystemFacts) -> str:
    """Which values' 0 does not mean absent."""
    slugs, half = system.codebook.slugs, len(system.codebook.slugs)
    pairs = list(zip(slugs, system.modelled[:half], system.modelled[half:], strict=True))
    said = [
        f"`{system.name}` tells {what} of: {', '.join(slugs)}"
        for what, one in (
            ("only whether it is endorsed (0: it is not, and may be confronted)", (True, False)),
            ("only whether it is confronted (0: it is not, and may be endorsed)", (False, True)),
            ("nothing", (False, False)),
        )
        if (slugs := tuple(slug for slug, yes, no in pairs if (bool(yes), bool(no)) == one))
    ]
    return "; ".join(said)


def _limits(facts: DatasetFacts) -> list[str]:
    limits = [
        "Not for decisions about individual people, and not for identifying them: a system judges what one video "
        "shows, is often wrong, and a value in a video is not a trait of who made it or is seen in it.",
        "The videos are not here. Who needs them fetches them from the platform under its terms, and respects that "
        "some have been deleted since.",
        "An id may itself lead to a person: platforms' ids are public addresses, and files are named by people.",
        "How often a value is predicted is not how often it is there: rates are not corrected for a system's errors.",
        "What somebody asks to be forgotten (`tikval erase`) does not leave copies of this data set: export it "
        "again, and tell those who have it.",
    ]
    if facts.naming:
        limits.insert(
            3,
            f"**{facts.naming} of the {facts.ids} ids contain an account's name, a handle or an address. Give "
            "the videos other ids (`video_id` of a manifest) before this is shared.**",
        )
    if facts.minors:
        limits.insert(
            3,
            f"**{facts.minors} ids are of accounts marked as a minor's; leave them out of what is shared.**",
        )
    if facts.labels:
        limits.append("The annotations are their authors': share them as their authors allow.")
    if any(system.local for system in facts.systems):
        limits.append(LOCAL_NOTICE)
    return [
        "## Limits and ethics",
        *(f"* {limit}" for limit in limits),
        "",
        "## License",
        "Unknown: tikval does not know under which terms these ids and labels may be shared. Who shares them decides, "
        "and names it here and as `license` above.",
    ]


def _some(names: Sequence[str]) -> str:
    names = sorted(set(names))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else NONE
