"""A report -> the files of a static site, which opens from disk and from a server alike.

Captions, scripts, ids and replies come from strangers. Every string is escaped (autoescape), control characters are
replaced, a video's page is named by its row key and never by its id, and a content security policy admits nothing but
the site's own files: no inline script, no inline style, no other host.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2

from tikval.evaluate.scores import BASELINE
from tikval.report.site.attrition import ATTRITION_CSV, account_namer, attrition_page, judged_line
from tikval.report.site.browse import assign, browse_files
from tikval.report.site.calls import call_page, prompt_file
from tikval.report.site.cards import card_of
from tikval.report.site.claims import CLAIMS_PAGE, claims_files, claims_lines, claims_page
from tikval.report.site.contrasts import comparison_table, drop_table, genre_table
from tikval.report.site.evidence_table import deletion_table, evidence_lines
from tikval.report.site.first_page import first_page
from tikval.report.site.gap import gap_lines
from tikval.report.site.rates import account_lines, account_names, confusion_lines, rate_tables
from tikval.report.site.record import Card, Chart, Report
from tikval.report.site.score_tables import coverage_line, kind_of, score_tables
from tikval.report.site.texts import clean_text, hidden
from tikval.report.site.video_links import VideoLinks
from tikval.report.tables.attrition import attrition_csv
from tikval.report.tables.cascade import BELOW, COLUMNS
from tikval.spreadsheet import cell_text
from tikval.values import ENDORSED

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)
FAILURES_SHOWN: Final = 1000
NUMBERS_SHOWN: Final = 400  # lines of a chart's table; the CSV has all
CHARTS_OF: Final = {  # by page, the first word of a chart's name
    "index.html": ("systems_f1",),
    "systems.html": ("figure3", "systems_f1", "value_f1", "figure4"),
    "values.html": ("circle", "value_rates", "figure2", "figure1"),
    "paper.html": ("figure4",),
    "accounts.html": ("prevalence",),
    "attrition.html": ("attrition",),
}

_TEMPLATES: Final = Path(__file__).parent / "templates"
_ASSETS: Final = Path(__file__).parent / "assets"
_KEY: Final = re.compile(r"[0-9a-f]{32}")


def site_files(report: Report) -> Iterator[tuple[str, bytes]]:
    """Yield (path in the site, its bytes), page by page: `charts/` and `pictures/` are written by those who have them.

    Raises ValueError for two cards of one video, for a card's key that is no row key, and for scores without the
    predict_everything baseline.
    """
    _check(report)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=clean_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"kind_of": kind_of, "ENDORSED": ENDORSED}
    environment.globals |= _shared(report)
    names = account_names(report)
    for file, context in _pages(report, names).items():
        charts = [_chart(chart) for chart in _charts_of(report, file)]
        page = environment.get_template(f"{file}.j2").render(here=file, root="", charts=charts, **context)
        yield file, page.encode()
    video_page = environment.get_template("video.html.j2")
    for at, card in enumerate(report.cards):
        shown = card_of(card, report, names.get(card.account or "")) | _neighbours(report.cards, at)
        policy = f"{POLICY}; media-src 'self'" if card.video else POLICY
        page = video_page.render(here="videos.html", root="../", card=shown, policy=policy)
        yield f"videos/{card.key}.html", page.encode()
    yield from _call_pages(environment, report)
    if report.attrition:
        yield ATTRITION_CSV, attrition_csv(report.attrition, account_namer(report, names))
    yield from claims_files(report)
    yield from browse_files(report)
    yield "data/charts.js", assign("tikval.charts", {chart.name: chart.data for chart in report.charts})
    for asset in sorted(_ASSETS.iterdir()):
        yield f"assets/{asset.name}", asset.read_bytes()


def _call_pages(environment: jinja2.Environment, report: Report) -> Iterator[tuple[str, bytes]]:
    """The calls of each video, and the prompts that they share, once each."""
    template, shared = environment.get_template("calls.html.j2"), set[str]()
    for card in report.cards:
        if card.calls:
            calls = call_page(card, report)
            page = template.render(here="videos.html", root="../", card=card, calls=calls)
            yield f"calls/{card.key}.html", page.encode()
            shared |= {call.prompt for call in card.calls if call.prompt in report.prompts}
    template = environment.get_template("prompt.html.j2")
    for sha in sorted(shared):
        page = template.render(here="videos.html", root="../", sha=sha, prompt=report.prompts[sha])
        yield prompt_file(sha), page.encode()


def _neighbours(cards: Sequence[Card], at: int) -> dict[str, Any]:
    """Where a video stands among those with a page, from 1, and the pages before and after its own."""
    before, after = cards[max(at - 1, 0) : at], cards[at + 1 : at + 2]
    return {
        "place": at + 1,
        "previous": before[0].key if before else None,
        "next": after[0].key if after else None,
    }


def _check(report: Report) -> None:
    seen: set[str] = set()
    for card in report.cards:
        if card.video_id in seen:
            raise ValueError(f"two cards of one video: {card.video_id}")
        seen.add(card.video_id)
        if not _KEY.fullmatch(card.key):
            raise ValueError(f"{card.video_id}: {card.key!r} is not a row key")
    if report.scores and not any(row["system"] == BASELINE for row in report.scores):
        raise ValueError(f"scores without the baseline {BASELINE}: they cannot be read without it")


def _shared(report: Report) -> dict[str, Any]:
    """What every page may show."""
    # a video that fails in one stage fails in those after it: the stages' failures do not add up to videos
    n_failed = max((sum(counts.failures.values()) for _, counts in report.coverage), default=0)
    n_failures = report.n_failures or max(len(report.failures), n_failed)
    pages = [
        ("index.html", "Overview", 0),
        ("systems.html", "Systems", 0),
        ("values.html", "Values", 0),
        ("accounts.html", "Accounts and genres", 0),
        *([(CLAIMS_PAGE, "Claims", 0)] if report.claims else []),
        ("videos.html", "Videos", 0),
        *([("attrition.html", "Attrition", 0)] if report.attrition else []),
        *([("paper.html", "The paper's tables", 0)] if report.grids else []),
        ("failures.html", "Failures", n_failures),
    ]
    return {
        "site": report,
        "policy": POLICY,
        "pages": pages,
        "n_failures": n_failures,
        "claims": claims_lines(report),
        "n_judged": judged_line(report.attrition) if report.attrition else None,
        "n_videos": report.n_videos or len(report.cards),
        "coverage": [coverage_line(stage, counts) for stage, counts in report.coverage],
    }


def _pages(report: Report, names: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What the template of each file needs besides, by file."""
    links = VideoLinks(report)
    scores = score_tables(report, links) if report.scores else None
    found: dict[str, dict[str, Any]] = {
        "index.html": {"scores": scores, **first_page(report, links, names)},
        "systems.html": {
            "scores": scores,
            "comparisons": comparison_table(report),
            "drops": drop_table(report),
            "gaps": gap_lines(report),
            "cascade_columns": COLUMNS,
            "cascade_below": BELOW,
            "evidence": evidence_lines(report.evidence),
            "deletions": deletion_table(report.evidence),
        },
        "values.html": {"rates": rate_tables(report, links), "confusions": confusion_lines(report)},
        "accounts.html": {
            "not_drawn": _not_drawn(report),
            "genres": genre_table(report, links),
            "accounts": account_lines(report, names, links),
        },
        "videos.html": {},
        "failures.html": {"failures": _failures(report)},
    }
    if report.attrition:
        found["attrition.html"] = attrition_page(report.attrition, account_namer(report, names))
    if report.claims:
        found[CLAIMS_PAGE] = claims_page(report)
    return {**found, "paper.html": {}} if report.grids else found


def _failures(report: Report) -> list[dict[str, Any]]:
    cards = {card.video_id: card for card in report.cards}
    shown = []
    for failure in report.failures[:FAILURES_SHOWN]:
        card = cards.get(failure.video_id)
        account = card.account if card else None
        shown.append(
            {
                "failure": failure,
                "detail": failure.detail if report.show_accounts else hidden(failure.detail, account),
                "page": f"videos/{card.key}.html" if card else None,
                "kind": kind_of(failure.reason),
            }
        )
    return shown


def _charts_of(report: Report, file: str) -> list[Chart]:
    first, names = CHARTS_OF.get(file, ()), {chart.name for chart in report.charts}

    def has_points(chart: Chart) -> bool:
        """Whether points stand in a radar's place: of too few videos it stands with the paper's tables alone."""
        return file != "paper.html" and chart.name.replace("figure4_radar", "value_f1") in names - {
            chart.name
        }

    charts = [chart for chart in report.charts if not has_points(chart)]
    return [chart for word in first for chart in charts if chart.name.startswith(word)]


def _not_drawn(report: Report) -> list[tuple[str, str]]:
    """Charts of groups that nothing was enough for, and why, with the groups' sizes, as the first system has them."""
    found = {}
    for by, title in (("genre", "Values by genre"), ("month", "Values over time")):
        mine = [note for note in report.notes if note.startswith(f"not drawn: prevalence_{by} of ")]
        whys = [note.partition(": fewer than ")[2] for note in mine if ": fewer than " in note]
        if whys and not any(chart.name == f"prevalence_{by}" for chart in report.charts):
            found[title] = f"fewer than {whys[0]}"
    return list(found.items())


def _chart(chart: Chart) -> dict[str, Any]:
    lines = [list(map(cell_text, line)) for line in csv.reader(io.StringIO(chart.numbers.decode()))]
    return {
        "name": chart.name,
        "title": chart.title,
        "shows": chart.shows,
        "data": chart.data,
        "head": lines[0] if lines else [],
        "lines": lines[1 : NUMBERS_SHOWN + 1],
        "more": max(0, len(lines) - 1 - NUMBERS_SHOWN),
    }
