"""Real arguments with labels (Touché23-ValueEval), split once: what was looked at for choosing, and what only measures.

Development: the task's training arguments (5,393, 332 conclusions). Test: its validation arguments (1,896, 157 other
conclusions). No conclusion is in both. Nothing is chosen by the test arguments, and whoever reads them is counted: a
line in results/test_looks.jsonl says when, which script, and what for.

The values are our 19 (endorsed), or the task's 20; a premise against a value is not labelled as such, so there are no
confronted labels.
"""

import csv
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tikval.stats.arrays import Bools
from tikval.values import VALUES

HERE: Final = Path(__file__).parent
DATA: Final = HERE.parents[1] / "shared" / "data" / "touche23"
LOOKS: Final = HERE / "results" / "test_looks.jsonl"


class Arguments(NamedTuple):
    """N arguments in the order of the file."""

    ids: list[str]
    premises: list[str]
    stances: list[str]  # "in favor of" or "against", of the conclusion
    conclusions: list[str]  # the groups: no two of one conclusion straddle folds
    truth: Bools  # [N, 19] in the order of VALUES
    truth20: Bools  # [N, 20] in the task's own order, universalism_objectivity last
    slugs20: list[str]

    @property
    def texts(self) -> list[str]:
        """Premise, stance and conclusion, as jobs.finetune gets them in benchmarks/touche.py."""
        rows = zip(self.premises, self.stances, self.conclusions, strict=True)
        return [f"{premise} [{stance}] {conclusion}" for premise, stance, conclusion in rows]

    def take(self, rows: ArrayLike) -> "Arguments":
        """Some of them, by their places or by a mask."""
        at = np.arange(len(self.ids))[np.asarray(rows)]
        ids, premises, stances, conclusions = ([column[i] for i in at] for column in self[:4])
        return Arguments(ids, premises, stances, conclusions, self.truth[at], self.truth20[at], self.slugs20)

    @property
    def scripts(self) -> list[str]:
        """As the local extractor gets them: the premise, spoken."""
        return [f'SPEAKER: "{premise}"' for premise in self.premises]


def are_here(data: Path = DATA) -> bool:
    return (data / "arguments-validation.tsv").is_file()


def development(data: Path = DATA) -> Arguments:
    """The arguments that everything is chosen on."""
    return _read(data, "training")


def held_out(look: str, data: Path = DATA) -> Arguments:
    """The arguments that only measure; `look`: what for, which is written down. Never read by a `--quick` run."""
    if "--quick" in sys.argv:
        raise RuntimeError("a quick run looks at development arguments only")
    line = {
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "script": Path(sys.argv[0]).name,
        "look": look,
    }
    with LOOKS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return _read(data, "validation")


def _read(data: Path, part: str) -> Arguments:
    rows, labels = (_table(data / f"{kind}-{part}.tsv") for kind in ("arguments", "labels"))
    titles = [title for title in labels[0] if title != "Argument ID"]
    of = {row["Argument ID"]: row for row in labels}
    given = [of[row["Argument ID"]] for row in rows]
    return Arguments(
        [row["Argument ID"] for row in rows],
        [row["Premise"] for row in rows],
        [row["Stance"] for row in rows],
        [row["Conclusion"] for row in rows],
        np.array([[row[value.title] == "1" for value in VALUES] for row in given]),
        np.array([[row[title] == "1" for title in titles] for row in given]),
        [re.sub(r"\W+", "_", title.lower()).strip("_") for title in titles],
    )


def _table(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
