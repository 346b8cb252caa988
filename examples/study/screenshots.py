"""Pictures of the example study's pages for its README: `python -m examples.study.screenshots OUT`, after `make study`.

Needs Chromium (`make browser`). Each picture is one screen, in 128 colours, so that it stays below 150 kB.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image
from playwright.sync_api import Page

from tests.fixtures.browser import open_tab, running

TO: Final = Path(__file__).parents[2] / "docs" / "images"
COLOURS: Final = 128
MOST_BYTES: Final = 150_000
_VIDEO: Final = "Melted chocolate for breakfast"  # on the page of the video that is shown


class Shot(NamedTuple):
    name: str
    site: Path  # a folder
    page: str
    height: int  # pixels of a screen 1,280 wide
    at: str | None = None  # the element that the screen begins with; None: the page's top


def shots(out: Path) -> Iterator[Shot]:
    """What is shown, in the order of the README."""
    (report,) = (out / "results").glob("report-*")
    video = next(
        page for page in sorted((report / "videos").glob("*.html")) if _VIDEO in page.read_text("utf-8")
    )
    coding = out / "coding"
    yield Shot("study-answer", report, "index.html", 900)
    yield Shot("study-claims", report, "claims.html", 900)
    yield Shot("study-video", report, f"videos/{video.name}", 900)
    yield Shot("study-sheet", coding, "sheets/ann.html", 800)
    yield Shot("study-disagreements", coding, "merged/disagreements.html", 800)
    yield Shot("study-systems", report, "systems.html", 900)


def picture(page: Page, shot: Shot) -> bytes:
    """PNG of the screen, with few colours."""
    if shot.at:
        page.locator(shot.at).first.evaluate("it => it.scrollIntoView()")
    seen = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    sink = io.BytesIO()
    seen.quantize(COLOURS, dither=Image.Dither.NONE).save(sink, "PNG", optimize=True)
    return sink.getvalue()


def main() -> None:
    """Write every picture; fail on one that is too large or whose page has an error."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/study")
    TO.mkdir(exist_ok=True)
    with running() as chromium:
        for shot in shots(out):
            tab = open_tab(chromium, shot.site, shot.page, height=shot.height)
            tab.page.wait_for_load_state("load")
            data = picture(tab.page, shot)
            tab.page.context.close()
            if tab.errors or len(data) > MOST_BYTES:
                sys.exit(f"{shot.name}: {len(data):,} bytes; {tab.errors}")
            (TO / f"{shot.name}.png").write_bytes(data)
            print(f"{TO / shot.name}.png  {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
