"""The cards of exports, README.md in Markdown, from the templates beside this module."""

from pathlib import Path
from typing import Any, Final

import jinja2

NONE: Final = "–"  # noqa: RUF001 - where there is no number or name

_TEMPLATES: Final = Path(__file__).parent / "templates"


def render_card(template: str, **values: Any) -> str:
    """Render the text of a card. Nothing is escaped: who hands over a stranger's words makes them plain before."""
    environment = jinja2.Environment(  # noqa: S701 - Markdown, not HTML
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)
