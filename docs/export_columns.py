"""Write the tables of columns into docs/export.md, from the one place that says what they are.

python docs/export_columns.py
"""

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tikval.report.export.columns import (  # noqa: E402
    LINE,
    LONG,
    VIDEO,
    WIDE,
    columns_table,
    score_columns,
)

PAGE: Final = ROOT / "docs" / "export.md"
BEFORE: Final = len(VIDEO) + len(LINE)  # of the columns of either form, those that both have
TABLES: Final = {
    "both": WIDE[:BEFORE],
    "wide": WIDE[BEFORE:],
    "long": LONG[BEFORE:],
    "scores": score_columns(),
}


def page_with_tables(text: str) -> str:
    """The page with a table after each mark `<!-- columns: NAME -->`, up to the next blank line."""
    for name, columns in TABLES.items():
        before, mark, after = text.partition(f"<!-- columns: {name} -->\n")
        rest = re.sub(r"\A(?:[^\n]+\n)*", "", after)
        text = f"{before}{mark}{columns_table(columns)}{rest}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
