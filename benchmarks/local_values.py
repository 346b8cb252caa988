"""CPU time of the local extractor for one script, by the length of its video; tikval estimate reads the figures.

    python benchmarks/local_values.py    # writes results/local_values.json; a minute on two cores

The scripts are sentences of the codebook's examples, as many as are spoken in so many seconds at 150 words a minute.
"""

import itertools
import json
import platform
import time
from pathlib import Path
from typing import Any, Final

from tikval.codebook import Codebook, load_codebook, sentences
from tikval.config import LocalExtractor
from tikval.extract.local import LocalValues
from tikval.machine import cores
from tikval.rows import ScriptRow

HERE: Final = Path(__file__).parent
WORDS_PER_SECOND: Final = 150 / 60
LENGTHS: Final = (10, 30, 60)  # seconds of video
SCRIPTS: Final = 40


def scripts(codebook: Codebook, seconds: float) -> list[dict[str, Any]]:
    """Rows whose scripts are as long as what is spoken in a video of `seconds`, no two alike."""
    examples = itertools.cycle(
        text for of_label in sentences(codebook).values() for text in of_label.examples
    )
    rows = []
    for n in range(SCRIPTS):
        words: list[str] = []
        while len(words) < WORDS_PER_SECOND * seconds:
            words += next(examples).split()
        row: dict[str, Any] = dict.fromkeys(ScriptRow.__annotations__)
        rows.append(row | {"video_id": str(n), "row_key": str(n), "attempt": 1, "script": " ".join(words)})
    return rows


def main() -> None:
    codebook = load_codebook(HERE.parent / "prompts" / "codebook.yaml")
    values = LocalValues("local", codebook, LocalExtractor())
    values(scripts(codebook, 10)[:4])  # what is made once is not counted
    found = {}
    for seconds in LENGTHS:
        rows = scripts(codebook, seconds)
        begin = time.process_time()
        done = values(rows)
        found[str(seconds)] = round((time.process_time() - begin) / SCRIPTS, 4)
        assert all(row["error"] is None for row in done)
    machine = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    result = {"scripts": SCRIPTS, "cpu_seconds": found, "machine": machine}
    result |= {"command": "python benchmarks/local_values.py"}
    (HERE / "results" / "local_values.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
