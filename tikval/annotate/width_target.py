"""What is wanted of the rates, in one line: `hedonism+, face- by genre within 0.05`."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from tikval.config import UserError
from tikval.evaluate.video_groups import COLUMNS, NAMING

_FORM: Final = re.compile(
    r"(?P<labels>.+?)(?:\s+by\s+(?P<by>\S+))?\s+within\s+(?P<width>\S+)", re.IGNORECASE | re.DOTALL
)
_EXAMPLE: Final = '--target "hedonism+ by genre within 0.05"'


class WidthTarget(NamedTuple):
    labels: tuple[str, ...]
    by: str | None  # a column of the catalog or of the posts; None: of all videos together
    width: float  # how far the ends of the 95 % interval may be from the estimate: a share

    def __str__(self) -> str:
        return f"{', '.join(self.labels)}{f' by {self.by}' if self.by else ''} within {self.width:g}"


def parse_width_target(text: str, labels: Sequence[str]) -> WidthTarget:
    """LABEL[, LABEL ...] [by COLUMN] within WIDTH, of the codebook's labels.

    WIDTH is a share (0.05) or per cent (5%). Raises UserError, with what is near, for a label or column that is none.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise UserError(f"--target {text!r}: say LABEL by COLUMN within WIDTH, such as {_EXAMPLE}")
    named = [_label(name.strip(), labels) for name in found["labels"].split(",") if name.strip()]
    if not named:
        raise UserError(f"--target {text!r}: names no label; such as {_EXAMPLE}")
    by = found["by"]
    if by is not None and by not in COLUMNS:
        raise UserError(f"--target: by {by}: no such column; {_near(by, COLUMNS)}")
    if by in NAMING:
        raise UserError(f"--target: by {by}: would name people in the list; choose another column")
    return WidthTarget(tuple(dict.fromkeys(named)), by, _width(found["width"]))


def _label(name: str, labels: Sequence[str]) -> str:
    wanted = "_".join(name.lower().split())
    if wanted in labels:
        return wanted
    if f"{wanted}+" in labels:
        raise UserError(f"--target: {name}: which side? {wanted}+ is endorsed, {wanted}- is confronted")
    raise UserError(f"--target: {name}: no label of the codebook; {_near(wanted, labels)}")


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, 3, 0.6)
    return f"is {' or '.join(near)} meant?" if near else f"there are {', '.join(known)}"


def _width(text: str) -> float:
    number, per_cent = text.removesuffix("%"), text.endswith("%")
    try:
        width = float(number) / (100 if per_cent else 1)
    except ValueError:
        width = 0.0
    if not 0 < width < 0.5:
        raise UserError(
            f"--target: within {text}: the width is a share between 0 and 0.5, such as 0.05, or per cent, such as 5%"
        )
    return width
