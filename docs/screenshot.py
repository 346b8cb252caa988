"""The picture of README.md: the first page of the sample clips' report, in this machine's Chromium.

make demo && python docs/screenshot.py
"""

import io
import sys
from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.fixtures.browser import open_tab, running  # noqa: E402
from tikval.store.runs import Study  # noqa: E402

PICTURE: Final = ROOT / "docs" / "images" / "demo.png"
WIDTH_PX, HEIGHT_PX, COLOURS = 1200, 820, 128


def take(study: str, to: Path) -> None:
    """Write the top of the first page of the report that finished last as a PNG with a palette."""
    report = next(run for _, run in Study(study).runs if run.stage == "report")
    with running() as chromium:
        tab = open_tab(
            chromium,
            Path(study) / f"report-{report.fingerprint}",
            "index.html",
            width=WIDTH_PX,
            height=HEIGHT_PX,
        )
        tab.page.wait_for_timeout(1500)  # charts are drawn with an animation
        picture = Image.open(io.BytesIO(tab.page.screenshot()))
    to.parent.mkdir(exist_ok=True)
    picture.convert("RGB").quantize(COLOURS).save(to, optimize=True)


if __name__ == "__main__":
    take(sys.argv[1] if len(sys.argv) > 1 else "out/demo", PICTURE)
