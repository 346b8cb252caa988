"""merged/disagreements.html: the disagreements that say most about the codebook, as a page that stands by itself.

No script runs on it and nothing is loaded. Nobody is named: coders are A and B, item by item, and handles are replaced.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import jinja2
from markupsafe import Markup

from tikval.annotate.agreement import AgreementRow
from tikval.annotate.coding_agreement import CODERS, SHOWN, CodingAgreement
from tikval.annotate.disagreements import ValueDisagreement
from tikval.codebook import Codebook
from tikval.evaluate.scores import ALL

_HERE: Final = Path(__file__).parent / "page"
_PX: Final = 200  # width of the chart's scale, from 0 to 1


class Bar(NamedTuple):
    """One coefficient as it is drawn; places in pixels."""

    text: str  # the number, and its interval or why there is none
    at: float | None
    low: float | None
    high: float | None


class ValueLine(NamedTuple):
    value: ValueDisagreement
    ac1: Bar
    positive: Bar


def disagreement_page(
    found: Sequence[ValueDisagreement], agreement: Sequence[CodingAgreement], items: int, codebook: Codebook
) -> bytes:
    """The page. `items`: how many all coders have coded; `agreement`: as it was before anybody decided."""
    rows = [one.row for one in agreement if one.what == CODERS and one.row.coding == SHOWN]
    most = max((len(row.names) for row in rows), default=0)
    by_value = {row.value: row for row in reversed(rows) if len(row.names) == most}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["word"] = lambda answer: answer.replace("_", " ")
    style = (_HERE / "disagreements.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = environment.get_template("disagreements.html.j2").render(
        lines=[ValueLine(one, *_bars(by_value.get(one.slug))) for one in found],
        all=_bars(by_value.get(ALL)),
        n_coders=most,
        items=items,
        cells=sum(one.items for one in found),
        codebook=codebook,
        px=_PX,
        style=Markup(style),  # noqa: S704 - this package's own file
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )
    return page.encode("utf-8", "replace")


def _bars(row: AgreementRow | None) -> tuple[Bar, Bar]:
    ac1, positive = (_bar(row, name) for name in ("ac1", "positive"))
    return ac1, positive


def _bar(row: AgreementRow | None, name: str) -> Bar:
    if row is None or math.isnan((found := row.line.coefficients[name]).value):
        return Bar("-", None, None, None)
    at, low, high = (
        None if math.isnan(x) else round(_PX * min(max(x, 0), 1), 1)
        for x in (found.value, found.low, found.high)
    )
    ends = f"[{found.low:.2f}, {found.high:.2f}]" if low is not None else found.why_none or ""
    return Bar(f"{found.value:.2f} {ends}".strip(), at, low, high)
