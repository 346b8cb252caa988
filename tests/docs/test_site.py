"""The documents as a site: links and anchors hold, nothing is loaded from elsewhere, and its search works from disk."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures import browser

ROOT = Path(__file__).parents[2]
chromium, visit = browser.chromium, browser.visit
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        importlib.util.find_spec("myst_parser") is None, reason="no Sphinx: uv pip install -e '.[docs]'"
    ),
]
# what a page loads by itself; a link that is clicked is no such thing
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)[^>]*\ssrc=["']([^"']+)|<link[^>]*\shref=["']([^"']+)|url\(["']?([^"')]+)"""
)


def build(source: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does."""
    options = [
        "--fail-on-warning",
        "--keep-going",
        "--fresh-env",
        "--quiet",
        "-c",
        str(source / "docs"),
        "-b",
        "html",
    ]
    command = [sys.executable, "-m", "sphinx", *options, str(source), str(to)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site")
    done = build(ROOT, to)
    assert done.returncode == 0, done.stderr[-3000:]
    return to


def test_make_docs_builds_so() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert (
        "sphinx-build --fail-on-warning --keep-going --fresh-env --quiet -c docs -b html . out/docs"
        in makefile
    )


def test_every_page_is_there(site: Path) -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        assert (site / page.relative_to(ROOT).with_suffix(".html")).is_file()
    assert "README.html" in (site / "index.html").read_text()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    elsewhere = [
        (file.name, address)
        for file in [*site.rglob("*.html"), *site.rglob("*.css")]
        for found in LOADED.findall(file.read_text(encoding="utf-8"))
        for address in found
        if re.match(r"(https?:)?//", address)
    ]
    assert elsewhere == []


def test_a_search_works_from_disk(site: Path, visit: browser.Visit) -> None:
    tab = visit(site, "search.html?q=fingerprint")
    tab.page.wait_for_selector("ul.search li a[href*='steps.html']")  # raises where it does not come


def small(folder: Path, **pages: str) -> Path:
    """A site of few pages with this project's configuration; its map names only other.md."""
    docs = folder / "docs"
    docs.mkdir()
    shutil.copy(ROOT / "docs" / "conf.py", docs)
    shutil.copytree(ROOT / "docs" / "site", docs / "site")
    (folder / "README.md").write_text("# One\n")
    (docs / "README.md").write_text("# Map\n## Start\n| page |\n| --- |\n| [other](other.md) |\n")
    for name, text in pages.items():
        (docs / f"{name}.md").write_text(text)
    return folder


def test_a_site_without_a_fault_is_built(tmp_path: Path) -> None:
    assert (
        build(small(tmp_path, other="# Other\n[one](../README.md#one)\n"), tmp_path / "built").returncode == 0
    )


def test_what_is_broken_ends_the_build_and_is_named(tmp_path: Path) -> None:
    links = "[gone](gone.md) [no heading](README.md#nothing) [no file](../tests/none.py)\n"
    done = build(small(tmp_path, other=f"# Other\n{links}", lost="# Lost\n"), tmp_path / "built")
    assert done.returncode != 0
    for told in ("gone.md", "nothing", "none.py", "lost.md"):
        assert told in done.stderr
