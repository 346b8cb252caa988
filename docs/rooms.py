"""Draw docs/rooms.svg: the rooms of the package, and who imports whom, read from the imports themselves.

python docs/rooms.py

Arrows point from a room to what it imports. Left out are the contracts, which every room may import, and arrows that a
longer way already says (a transitive reduction).
"""

import sys
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.test_layers import LAYERS, MODULES, imports, layer, name_of  # noqa: E402

PHRASES: Final = {
    "jobs": "entry points",
    "cli": "the commands",
    "flow": "the edge to Ray",
    "study": "erasure, estimate, doctor",
    "report": "site, figures, tables, exports",
    "collect": "posts and their files, politely",
    "annotate": "human coders",
    "claims": "statements about a corpus",
    "evaluate": "what systems are worth",
    "finetune": "encoders and heads (torch)",
    "script": "video to script",
    "embed": "video to vectors",
    "extract": "script or video to stances",
    "ask": "a video as a model gets it",
    "media": "one file, in a child process",
    "llm": "clients, ledger, prices",
    "hub": "models by name",
    "sources": "what comes in",
    "store": "a stage's folder on disk",
    "stats": "numbers in, numbers out",
}
CONTRACTS: Final = set(
    "values rows machine spreadsheet terminal errors config files codebook privacy handles study_key script_text "
    "prompt_text".split()
)
WIDTH, HEIGHT, GAP_X, GAP_Y = 190, 46, 26, 40
STYLE: Final = """
svg { font-family: system-ui, sans-serif; background: #fff; color: #1b1f24; }
rect { fill: #f3f5f8; stroke: #8a94a3; } text { fill: #1b1f24; } .name { font-weight: 600; font-size: 14px; }
.phrase { font-size: 10.5px; fill: #57606a; } path { stroke: #5a7bb0; fill: none; stroke-width: 1.2; opacity: .75; }
.contracts rect { fill: #fff; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } rect { fill: #1c2430; stroke: #6b7685; } text { fill: #e6edf3; }
  .phrase { fill: #9aa5b1; } path { stroke: #86aee8; } .contracts rect { fill: #0d1117; }
}
"""


def arrows() -> dict[str, set[str]]:
    """For each room the rooms that it imports, without the contracts and without what a longer way says."""
    direct: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        mine = layer(name_of(path))
        for name in imports(path.read_text(encoding="utf-8")):
            other = layer(name)
            if mine and other and other != mine and not {mine, other} & CONTRACTS:
                direct[mine].add(other)

    def reached(room: str) -> set[str]:
        found: set[str] = set()
        todo = set(direct[room])
        while todo:
            found |= todo
            todo = {far for near in todo for far in direct[near]} - found
        return found

    return {
        room: {near for near in others if not any(near in reached(far) for far in others - {near})}
        for room, others in list(direct.items())
    }


def sizes() -> dict[str, int]:
    """Lines of each room."""
    lines: dict[str, int] = defaultdict(int)
    for path in MODULES:
        if mine := layer(name_of(path)):
            lines[mine] += len(path.read_text(encoding="utf-8").splitlines())
    return lines


def drawing() -> str:
    """The SVG: the highest room on top, the contracts as one line at the bottom."""
    rows = [[room for room in line.split() if room not in CONTRACTS] for line in LAYERS.split("\n")]
    rows = [row for row in reversed(rows) if row]
    width = 4 * (WIDTH + GAP_X) + GAP_X
    place: dict[str, tuple[float, float]] = {}
    for level, row in enumerate(rows):
        left = (width - len(row) * WIDTH - (len(row) - 1) * GAP_X) / 2
        for column, room in enumerate(row):
            place[room] = (left + column * (WIDTH + GAP_X), GAP_Y / 2 + level * (HEIGHT + GAP_Y))
    height = int(GAP_Y / 2 + len(rows) * (HEIGHT + GAP_Y) + HEIGHT + 10)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>The rooms of tikval, and what each imports</title><style>{STYLE}</style>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8" style="fill:none;opacity:1"/></marker></defs>',
    ]
    for room, others in sorted(arrows().items()):
        for other in sorted(others):
            parts.append(_arrow(place[room], place[other]))
    lines = sizes()
    for room, (x, y) in place.items():
        label = f"{room} · {lines[room]:,}"
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
            f'<text class="name" x="{x + 10:.0f}" y="{y + 19:.0f}">{label}</text>'
            f'<text class="phrase" x="{x + 10:.0f}" y="{y + 35:.0f}">{escape(PHRASES[room])}</text>'
        )
    bottom = height - HEIGHT - 10
    names = ", ".join(room for room in " ".join(LAYERS.split()).split() if room in CONTRACTS)
    total = sum(lines[room] for room in CONTRACTS)
    parts.append(
        f'<g class="contracts"><rect x="{GAP_X}" y="{bottom}" width="{width - 2 * GAP_X}" height="{HEIGHT}" rx="6"/>'
        f'<text class="name" x="{GAP_X + 10}" y="{bottom + 19}">contracts · {total:,}</text>'
        f'<text class="phrase" x="{GAP_X + 10}" y="{bottom + 35}">{names}: every room may import them</text></g></svg>'
    )
    return "\n".join(parts) + "\n"


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0 = start[0] + WIDTH / 2, start[1] + HEIGHT
    x1, y1 = end[0] + WIDTH / 2, end[1]
    bend = max(18.0, (y1 - y0) / 2)
    return (
        f'<path d="M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} {x1:.0f} {y1:.0f}" '
        'marker-end="url(#end)"/>'
    )


if __name__ == "__main__":
    (ROOT / "docs" / "rooms.svg").write_text(drawing(), encoding="utf-8")
