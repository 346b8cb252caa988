"""A coder's sheet of many items: what writing it takes, and what it takes in a browser.

    python benchmarks/sheet.py            # 1,000 items; writes results/sheet.json
    python benchmarks/sheet.py --quick    # 200 items; writes nothing

Made-up videos with captions and scripts of about 1,000 characters, and Schwartz's 19 values. The sheet is opened from
disk in headless Chromium, five times with an empty profile and then once more when every item is coded; medians:
    first_question   seconds from the start of the navigation to the frame that shows the first question
    coded            the same in a profile where all items are coded
    next_item        milliseconds from the key to the frame that shows the next item; `answer`: an answer; `rest`: all
                     other values absent; `list`: the list of all items; `table`: the table as text, all items coded
The last line is one JSON object; the exit code is 1 where a target is missed.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser

from benchmarks.decode import machine, rounded
from benchmarks.site import WORDS
from tests.fixtures.browser import open_tab, running
from tikval.annotate.sheet import CodingSheet, SheetItem, questions_of
from tikval.annotate.sheets.page import write_page
from tikval.codebook import load_codebook

RESULT: Final = Path(__file__).parent / "results" / "sheet.json"
CODEBOOK: Final = Path(__file__).parents[1] / "prompts" / "codebook.yaml"
LOADS: Final = 5
TARGETS: Final = {
    "first_question_seconds": 2.0,
    "coded_seconds": 2.0,
    "next_item_ms": 100.0,
    "answer_ms": 100.0,
}

# Runs in the page before its own scripts. `shown` resolves after the frame that shows a change.
_WATCH: Final = """
    const shown = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const asked = new Promise((done) => {
        const look = (_, watch) => {
            if (!document.querySelector(".question.active")) return;
            watch.disconnect();
            shown().then(() => done(performance.now()));
        };
        new MutationObserver(look).observe(document, { childList: true, subtree: true, attributes: true });
    });
    async function press(key) {
        const begun = performance.now();
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        await shown();
        return performance.now() - begun;
    }
    async function codeAll() {
        const { sheet, store } = tikval;
        sheet.items.forEach((_, i) => store.answerAll(i, sheet.questions.map(({ slug }) => slug), "absent"));
        const begun = performance.now();
        store.csv();
        return performance.now() - begun;
    }
    Object.assign(window, { asked, press, codeAll });
"""


def made_up_sheet(n_items: int) -> CodingSheet:
    """A sheet of videos that nobody made."""
    draw = random.Random(n_items)
    book = load_codebook(CODEBOOK)
    items = tuple(
        SheetItem(
            str(7312345678901234000 + i),
            "main",
            (),
            " ".join(draw.choices(WORDS, k=draw.randint(0, 30))),
            "\n".join(f'SPEAKER: "{" ".join(draw.choices(WORDS, k=18))}."' for _ in range(10)),
            0.1,
        )
        for i in range(n_items)
    )
    guidelines = tuple((one.title, one.text) for one in book.guidelines)
    return CodingSheet("ann", "A made-up study", book.mark, guidelines, questions_of(book), items)


def load(chromium: Browser, folder: Path) -> dict[str, float]:
    """One load in a profile of its own, what a coder then does, and a load when all is coded."""
    tab = open_tab(chromium, folder, "sheet.html", before=_WATCH)
    page = tab.page

    def ms(script: str) -> float:
        return float(page.evaluate(script))

    figures = {
        "first_question_seconds": ms("asked") / 1000,
        "answer_ms": ms("press('3')"),
        "rest_ms": ms("press('a')"),
        "next_item_ms": ms("press('ArrowRight')"),
        "list_ms": ms("press('l')"),
        "table_ms": ms("codeAll()"),
    }
    page.reload()
    figures["coded_seconds"] = ms("asked") / 1000
    page.context.close()
    if tab.errors:
        raise RuntimeError(f"errors of the page: {tab.errors}")
    return figures


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    n_items = 200 if options.quick else 1_000
    sheet = made_up_sheet(n_items)
    with tempfile.TemporaryDirectory() as folder, running() as chromium:
        begun = time.monotonic()
        size = (Path(folder) / "sheet.html").write_bytes(write_page(sheet))
        written = {"seconds": time.monotonic() - begun, "mb": size / 1e6}
        loads = [load(chromium, Path(folder)) for _ in range(LOADS)]
        version = chromium.version
    page = {name: statistics.median(one[name] for one in loads) for name in loads[0]}
    for name, figure in page.items():
        print(f"{name:26} {figure:8.2f}", flush=True)
    targets: dict[str, Any] = {
        name: {"figure": page[name], "at_most": most, "met": page[name] <= most}
        for name, most in TARGETS.items()
    }
    report = rounded(
        {
            "command": " ".join(["python", "benchmarks/sheet.py", *arguments]),
            "machine": machine() | {"chromium": version},
            "items": n_items,
            "questions": len(sheet.questions),
            "written": written,
            "loads": LOADS,
            "page": page,
            "targets": targets,
        }
    )
    if not options.quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if all(target["met"] for target in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
