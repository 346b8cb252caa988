"""The result of benchmarks/peers.py: its file, its table on the page, its targets."""

import json
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parent.parent.parent
RESULT: Final = _ROOT / "benchmarks" / "results" / "peers.json"
PAGE: Final = _ROOT / "docs" / "peers.md"
MARKS: Final = ("<!-- benchmarks/peers.py writes this table -->", "<!-- until here -->")
HEADS: Final = (
    "engine",
    "rows per CPU second",
    "peak memory, MB",
    "first row on disk, s",
    "killed: rows per CPU second",
    "lost",
    "there twice",
    "worked out again",
    "a file that crashes",
    "a file that hangs",
)


def table(result: dict[str, Any]) -> str:
    """As Markdown."""
    alone = ["the work alone, in one loop", str(result["alone"]), *[""] * (len(HEADS) - 2)]
    lines = [HEADS, ["---"] * len(HEADS), alone]
    for name, parts in result["engines"].items():
        calm, hard = parts.get("undisturbed", {}), parts["killed"]
        cells = [calm.get("rows_per_cpu_second"), calm.get("peak_mb", hard["peak_mb"])]
        cells += [calm.get("first_row_seconds"), hard["rows_per_cpu_second"]]
        cells += [hard["lost"], hard["doubled"], hard["worked_out_again"]]
        cells += [_outcome(parts.get(what)) for what in ("crash", "hang")]
        lines.append([name, *("" if cell is None else str(cell) for cell in cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _outcome(part: dict[str, Any] | None) -> str | None:
    if part is None:
        return None
    ends = {"ended": "goes on", "failed": "stops with an error", "late": "never ends"}[part["end"]]
    return f"{ends}, {part['lost']} of {part['lost'] + part['rows'] - part['doubled']} rows lost"


def write_page(result: dict[str, Any]) -> None:
    """The table into the page, between its two marks."""
    before, mark, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    PAGE.write_text(f"{before}{mark}\n{table(result)}\n{MARKS[1]}{after}", encoding="utf-8")


def targets(engines: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what, part in engines.get("tikval", {}).items():
        if what == "load":
            continue
        bad = part["lost"] + part["doubled"] + (part["end"] != "ended") + abs(part["failed"] - part["broken"])
        found[f"tikval, {what}: rows lost, there twice, or failed wrongly"] = {
            "figure": bad,
            "at_most": 0,
            "met": bad == 0,
        }
    return found


def save(result: dict[str, Any], order: list[str]) -> dict[str, Any]:
    """Write it and its page, with earlier lines of engines that were not run; returns what was written.

    `order`: of the engines in the table.
    """
    if RESULT.exists():
        before = json.loads(RESULT.read_text(encoding="utf-8"))
        if before["clips"] == result["clips"]:
            engines = before["engines"] | result["engines"]
            result = result | {"engines": {name: engines[name] for name in order if name in engines}}
    result |= {"targets": targets(result["engines"])}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    write_page(result)
    return result
