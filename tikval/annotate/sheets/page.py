"""A sheet as one HTML file: opened by double-click, it asks no host for anything and keeps its state by itself.

What people and strangers wrote travels as JSON in a block that no browser runs, and the scripts set it as text. The
content security policy names each script and the style by its hash: nothing else runs, and nothing leaves the page.
"""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup

from tikval.annotate.coding import AFTER, BEFORE, ROUNDS, annotator_of
from tikval.annotate.sheet import CodingSheet
from tikval.spreadsheet import FORMULA_JS
from tikval.values import NOT_ANSWERED, Stance

SCRIPTS: Final = ("table.js", "store.js", "media.js", "questions.js", "dialogs.js", "files.js", "sheet.js")

_HERE: Final = Path(__file__).parent
# what would end the block, what a script's text may not hold, and what is not UTF-8
_ESCAPED: Final = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def write_page(sheet: CodingSheet) -> bytes:
    """The sheet's HTML, whole: style, scripts and data are in it, and only videos and pictures lie beside it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_HERE / "assets" / "sheet.css").read_text(encoding="utf-8")
    scripts = [(_HERE / "assets" / name).read_text(encoding="utf-8") for name in SCRIPTS]
    page = environment.get_template("sheet.html.j2").render(
        sheet=sheet,
        policy=_policy(style, scripts),
        style=Markup(style),  # noqa: S704 - this package's own files
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        data=Markup(_data(sheet)),  # noqa: S704 - escaped there
    )
    return page.encode("utf-8", "replace")


def _data(sheet: CodingSheet) -> str:
    about = {
        "annotators": {round_: annotator_of(sheet.coder, round_) for round_ in ROUNDS},
        "before": [sheet.key, *BEFORE[1:]],
        "after": AFTER,
        "not_answered": NOT_ANSWERED,
        "absent": Stance.ABSENT.name.lower(),
        "formula": FORMULA_JS,
    }
    text = f'{{"sheet": {sheet.as_json()}, "about": {json.dumps(about)}}}'
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _policy(style: str, scripts: list[str]) -> str:
    """Nothing but these texts, and pictures and media from disk or from files that the coder picks."""
    media = "'self' file: blob:"
    return (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; "
        f"img-src {media}; media-src {media}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
