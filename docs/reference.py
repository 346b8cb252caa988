"""Write docs/reference/ from the code: commands, keys, columns, reasons and metrics, each with the words of its source.

python docs/reference.py
"""

import ast
import dataclasses
import functools
import inspect
import json
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import typer.main  # noqa: E402
from pydantic_core import PydanticUndefined  # noqa: E402

from tikval import rows  # noqa: E402
from tikval.cli.commands import app  # noqa: E402
from tikval.cli.job import JOBS  # noqa: E402
from tikval.cli.look import HINTS  # noqa: E402
from tikval.config import Config, JobConfig  # noqa: E402
from tikval.flow.observe import METRICS  # noqa: E402

FOLDER: Final = ROOT / "docs" / "reference"
MADE: Final = "Made from the code by `python docs/reference.py`; a test holds the two equal.\n"
# where the rows of a type lie in a study's folder; those that never reach a disk are in no table
STORED: Final[dict[Any, str]] = {
    rows.VideoRow: "`catalog-<recipe>/`",
    rows.PostRow: "`catalog-<recipe>/_posts-*.parquet`",
    rows.AccountRow: "`catalog-<recipe>/_accounts-*.parquet`",
    rows.LabelRow: "`catalog-<recipe>/_labels-*.parquet`",
    rows.ScriptRow: "`scripts-<recipe>/`",
    rows.EmbeddingRow: "`embeddings-<recipe>/`",
    rows.DuplicateRow: "`embeddings-<recipe>/_duplicates-*.parquet`",
    rows.PredictionRow: "`predictions-`, `finetune-`, `combined-`, `tuned-` and `cascade-<recipe>/`",
    rows.SampledRow: "`cascade-<recipe>/_sampled-*.parquet`",
    rows.Passage: "the column `evidence` of predictions",
    rows.FaithfulnessRow: "`faithfulness-<recipe>/`",
    rows.DeletionRow: "`deletions-<recipe>/`",
    rows.ScoreRow: "`scores-<recipe>/`",
    rows.ComparisonRow: "`scores-<recipe>/_comparisons-*.parquet`",
    rows.SliceRow: "`scores-<recipe>/_slices-*.parquet`",
    rows.ClaimRow: "`claims/NAME/claims.parquet`",
    rows.ClaimWayRow: "`claims/NAME/ways.parquet`",
}
# columns that mean the same wherever they stand: told at the first table that has them
SHARED: Final = {
    *("video_id", "row_key", "attempt", "error", "detail", "account", "genre", "caption", "content_sha"),
    *("model", "model_served", "prompt_sha", "tokens_in", "tokens_out", "cost_usd", "system", "label_set"),
}
PLAIN: Final[dict[Any, str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    bytes: "bytes",
    type(None): "null",
    Any: "any",
}


def table(head: str, lines: list[list[str]]) -> str:
    """A Markdown table; `head` has its columns' names with bars between."""
    cells = [[" ".join(cell.replace("|", "\\|").split()) for cell in line] for line in lines]
    names = [f"| {head} |", "|" + " --- |" * len(head.split("|"))]
    return "\n".join(names + [f"| {' | '.join(line)} |" for line in cells]) + "\n"


@functools.cache
def comments(kind: type) -> dict[str, str]:
    """What the source says of each field of a class: the comment lines above it, and the comments within it."""
    lines = textwrap.dedent(inspect.getsource(kind)).splitlines()
    found: dict[str, str] = {}
    for node in ast.parse("\n".join(lines)).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign):
            target: ast.expr = node.target
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
        else:
            continue
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        while lines[first - 1].lstrip().startswith("#"):
            first -= 1
        words = [line.partition("# ")[2].strip() for line in lines[first:last]]
        words = [word for word in words if word and not word.startswith("noqa")]
        if isinstance(target, ast.Name) and words:
            found[target.id] = " ".join(words)
    return found


def comment(kind: type, name: str) -> str:
    """The field's, from the class itself or the nearest one that it takes the field from; null is YAML's word."""
    own = [one for one in kind.__mro__ if one.__module__.startswith("tikval")]
    return next((comments(one)[name] for one in own if name in comments(one)), "").replace("None:", "null:")


# commands


def commands() -> str:
    """Every command of the real application, with its arguments and options."""
    parts = [
        "# Commands",
        MADE,
        "A column of defaults that is empty: nothing, or it follows from the other options.\n",
    ]
    for path, command in leaves(typer.main.get_command(app), ["tikval"]):
        shown = [p for p in command.params if not p.hidden and p.name != "help"]
        arguments = [p for p in shown if p.param_type_name == "argument"]
        usage = " ".join([*path, *(p.metavar or p.name.upper() for p in arguments), "[OPTIONS]"])
        parts.append(
            f"## {' '.join(path)}\n\n{' '.join((command.help or '').split())}\n\n```\n{usage}\n```\n"
        )
        if shown:
            parts.append(
                table("argument or option | kind | default | what it is", [of_parameter(p) for p in shown])
            )
    return "\n".join(parts)


def leaves(command: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from leaves(child, [*path, name])


def of_parameter(p: Any) -> list[str]:
    is_argument = p.param_type_name == "argument"
    name = p.name.upper() if is_argument else ", ".join([*p.opts, *p.secondary_opts])
    kind = "a switch" if getattr(p, "is_flag", False) else written_type(p.type_descriptor.annotation)
    given = "" if p.default in (None, False, [], ()) or callable(p.default) else f"`{plain(p.default)}`"
    return [f"`{name}`", kind, "required" if p.required else given, p.help or ""]


# keys


def keys() -> str:
    """Every key of every configuration: those of jobs first, then the parts that they are made of."""
    jobs: dict[type[Config], str] = {job.config: name for name, job in JOBS.items()}
    others = [kind for kind in config_classes() if kind not in jobs]
    parts = ["# Keys of configurations", MADE]
    parts.append(
        "Any key can be set on a job's command line (`writer.ocr.frames=3`) and by `tikval analyze --set`. A key that\n"
        "belongs to the recipe changes the name of the output folder; the others never change a result\n"
        "([steps.md](../steps.md)).\n"
    )
    for kind, name in jobs.items():
        parts.append(f"## {kind.__name__}\n\n`python -m jobs.{name}`. {summary(kind)}\n\n{keys_table(kind)}")
    for kind in others:
        parts.append(f"## {kind.__name__}\n\n{summary(kind)}\n\n{keys_table(kind)}".replace("\n\n\n", "\n"))
    return "\n".join(parts)


def config_classes() -> list[type[Config]]:
    """Every configuration of tikval.config that has keys, in the order of their names."""
    found, left = set[type[Config]](), [Config]
    while left:
        for kind in left.pop().__subclasses__():
            if kind.__module__.startswith("tikval.config") and kind is not JobConfig and kind not in found:
                found.add(kind)
            left.append(kind)
    return sorted((kind for kind in found if kind.model_fields), key=lambda kind: kind.__name__)


def summary(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split()) if kind.__dict__.get("__doc__") else ""


def keys_table(kind: type[Config]) -> str:
    is_job = issubclass(kind, JobConfig)
    lines = []
    for name, field in kind.model_fields.items():
        limits = [bound(item) for item in field.metadata]
        annotated = f"{written_type(field.annotation)}{''.join(limits)}"
        line = [f"`{name}`", annotated, default(field), comment(kind, name)]
        if is_job:
            line.insert(3, "no" if name in kind.operational else "yes")  # type: ignore[attr-defined]
        lines.append(line)
    head = "key | kind | default | recipe | what it is" if is_job else "key | kind | default | what it is"
    return table(head, lines)


def bound(item: Any) -> str:
    signs = {
        "gt": "above",
        "ge": "from",
        "lt": "below",
        "le": "up to",
        "min_length": "at least",
        "pattern": "like",
    }
    if not dataclasses.is_dataclass(item) and not hasattr(item, "pattern"):
        return ""
    found = [(sign, getattr(item, name, None)) for name, sign in signs.items()]
    return "".join(f", {sign} `{value}`" for sign, value in found if value is not None)


def default(field: Any) -> str:
    if field.default_factory is not None:
        return f"`{plain(field.default_factory())}`"
    if field.default is PydanticUndefined:
        return "required"
    return "its own" if isinstance(field.default, Config) else f"`{plain(field.default)}`"


def plain(value: Any) -> str:
    """A value as YAML on one line has it."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Config):
        return plain(value.model_dump(exclude_defaults=True))
    if isinstance(value, str):
        return value or "''"
    return json.dumps(value, default=str, ensure_ascii=False)


def written_type(hint: Any) -> str:
    """A type in words, with a link to a configuration of its own."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return written_type(arguments[0]) + "".join(bound(item) for item in arguments[1:])
    if origin is Literal:
        return ", ".join(f"`{plain(one)}`" for one in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(written_type(one) for one in arguments))
    if origin in (list, tuple, set, frozenset) or str(origin).endswith("Sequence'>"):
        items = dict.fromkeys(written_type(one) for one in arguments if one is not Ellipsis)
        return f"list of {' or '.join(items)}"
    if origin is dict:
        return f"{written_type(arguments[1])} by {written_type(arguments[0])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{one.value}`" for one in hint)
    if isinstance(hint, type) and issubclass(hint, Config):
        return f"[{hint.__name__}](keys.md#{hint.__name__.lower()})"
    return PLAIN.get(hint, getattr(hint, "__name__", str(hint)))


# columns, reasons, metrics


def columns() -> str:
    """Every column of every table that a study's folder holds."""
    parts = ["# Columns", MADE]
    parts.append("Tables of a study are Parquet. Those that people export: [export.md](../export.md).\n")
    for kind, place in STORED.items():
        hints = typing.get_type_hints(kind)
        lines = [
            [f"`{name}`", written_type(hint), column_meaning(kind, name)] for name, hint in hints.items()
        ]
        head = f"## {kind.__name__}\n\nIn {place}. {summary(kind)}".rstrip()
        parts.append(f"{head}\n\n{table('column | kind | what it is', lines)}")
    return "\n".join(parts)


def column_meaning(kind: type, name: str) -> str:
    told = [kind, *STORED] if name in SHARED else [kind]
    return next((words for one in told if (words := comment(one, name))), "")


def reasons() -> str:
    """Why a video has no result and what to do, and what became of a post that a source lists."""
    parts = [
        "# Reasons",
        MADE,
        'A video without a result has one of these; it is never counted as "absent". The same\n'
        "command tries those again that may pass the next time.\n",
    ]
    lines = [
        [f"`{one}`", "no" if one.terminal else "yes", comment(rows.Reason, one.name), HINTS[one]]
        for one in rows.Reason
    ]
    parts.append(table("reason | tried again | what it means | what to do", lines))
    parts.append(
        "## Outcomes of posts\n\nWhat became of a post that a source lists ([collecting.md](../collecting.md)).\n"
    )
    outcomes = [
        [f"`{one}`", "yes" if one.has_files else "no", comment(rows.Outcome, one.name)]
        for one in rows.Outcome
    ]
    parts.append(table("outcome | files | what it means", outcomes))
    return "\n".join(parts)


def metrics() -> str:
    """What actors count for Prometheus."""
    parts = ["# Metrics", MADE]
    parts.append("Counters that Ray's exporter shows to Prometheus, under these names.\n")
    lines = [
        [f"`ray_{one.name}_total`", ", ".join(f"`{tag}`" for tag in one.tags), one.meaning] for one in METRICS
    ]
    parts.append(table("metric | labels | what it counts", lines))
    parts.append(
        "`outcome` is `ok` or one of the [reasons](reasons.md); `stage` is the first part of an output folder's name.\n"
    )
    return "\n".join(parts)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "commands.md": commands,
    "keys.md": keys,
    "columns.md": columns,
    "reasons.md": reasons,
    "metrics.md": metrics,
}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for page, made in PAGES.items():
        (FOLDER / page).write_text(made(), encoding="utf-8")
