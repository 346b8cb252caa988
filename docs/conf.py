"""The documents as a site (`make docs`): Sphinx reads the Markdown that a git host shows, from the repository's root.

The map is docs/README.md: its tables are the navigation, and a page that it does not name is a warning, which ends
the build. Links to code and configurations become downloads, so that a site is whole without a network.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
MAP = ROOT / "docs" / "README.md"

project = "tikval"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/*/*.md", "examples/*.md", "examples/*/*.md"]
exclude_patterns = [".*", "out", "dist", "tests", "tikval", "benchmarks", "**/__pycache__"]
nitpicky = True

myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]

html_theme = "furo"
html_title = "tikval"
html_copy_source = False
html_show_search_summary = False  # it reads pages with fetch(), which a page opened from disk may not
html_show_sphinx = False
templates_path = ["site"]
html_additional_pages = {"index": "index.html"}


def navigation(text: str) -> str:
    """Hidden tables of contents, one per section of the map, for pages read from the repository's root."""
    trees: list[str] = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        cells = (line.split("|")[1] for line in body.splitlines() if line.startswith("| ["))
        links = [link for cell in cells for link in re.findall(r"\]\(([^)#]+\.md)\)", cell)]
        pages = [path.removeprefix("../") if path.startswith("../") else f"docs/{path}" for path in links]
        names = [page for page in dict.fromkeys(pages) if page != "README.md"]
        names = names if trees else ["docs/README.md", *names]
        trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *names, "```"]))
    return "\n\n".join(trees)


def add_navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == root_doc:
        source[0] += "\n\n" + navigation(MAP.read_text(encoding="utf-8"))


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_navigation)
