"""The charts of a page in a real browser: drawn from the figures' own numbers, in both colour schemes, narrow and wide.

The fixtures fail a test for every error of the console, what the page's policy forbids among them.
"""

import json
import shutil
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
import pytest

from tests.fixtures import browser
from tests.fixtures.browser import Tab, Visit
from tests.fixtures.posts import attrition
from tests.report.test_figure_numbers import line, macro, score
from tikval.report.figures import data as web
from tikval.report.figures.numbers import FigureSeries, radar_of, series_of
from tikval.report.figures.points import points_data, points_of_rates
from tikval.report.figures.rates import months_of, rates_of
from tikval.report.figures.systems import scored_of
from tikval.report.site import pages
from tikval.values import SLUGS, VALUES

pytestmark = pytest.mark.browser
chromium, visit = browser.chromium, browser.visit

ROOM: Final = Path(pages.__file__).parent
MACROS: Final = jinja2.Environment(loader=jinja2.FileSystemLoader(ROOM / "templates"), autoescape=True)
SCRIPTS: Final = str(MACROS.get_template("_macros.html.j2").module.chart_scripts())  # type: ignore[attr-defined]
PHONE, DESK = 390, 1200  # pixels
EVIL: Final = "<img src=x onerror=alert(1)> {a|b} ${c} %s"
TITLES: Final = [value.title for value in VALUES]
BLUE_LIGHT, BLUE_DARK = (0, 114, 178), (77, 163, 220)  # of endorsed; the dark page's is lighter
STYLE: Final = """
    :root { color-scheme: light dark; --ink: #111; --quiet: #666; --line: #ddd; --card: #fff; }
    @media (prefers-color-scheme: dark) { :root { --ink: #eee; --quiet: #aaa; --line: #444; --card: #222; } }
    body { margin: 1rem; color: var(--ink); background: var(--card); font-family: sans-serif; }
"""
# whether a chart has a pixel of a colour
HAS: Final = """(plot, colour) => [...plot.querySelectorAll("canvas")].some((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] === 255 && colour.every((part, n) => data[i + n] === part)) return true;
    }
    return false;
})"""


def series(systems: int) -> list[FigureSeries]:
    """The annotations and some systems: each endorses every value in some of 40 videos, the first not all labels."""
    rng = np.random.default_rng(0)
    whole, part = np.ones(38, bool), np.arange(38) < 30
    names = ["annotations", *(f"system_{n}" for n in range(systems - 1)), EVIL]
    return [
        series_of(name, rng.random((40, 38)) < 0.1, part if n == 1 else whole, is_human=n == 0)
        for n, name in enumerate(names)
    ]


def all_kinds(systems: int = 4) -> dict[str, dict[str, Any]]:
    names = [one.name for one in series(systems)]
    f1 = [score("predict_everything", f"{slug}+", 0.3, 3) for slug in SLUGS]
    f1 += [
        score(name, f"{slug}+", 0.1 * n + 0.01 * v, 3)
        for n, name in enumerate(names)
        for v, slug in enumerate(SLUGS[: 10 + n])
    ]
    macros = [macro(name, 0.2 + 0.1 * n, lower=0.1, upper=0.9) for n, name in enumerate(names)]
    macros += [macro("predict_everything", 0.3), macro("frequency_prior", 0.1)]
    rates = [
        rates_of(
            name,
            [
                line(group, f"{slug}{sign}", 0.02 * v, 0.01 * v)
                for group in groups
                for v, slug in enumerate(SLUGS)
                for sign in "+-"[: 2 - n]
            ],
            SLUGS,
            "not corrected for model error" if n else "",
        )
        for n, (name, groups) in enumerate(
            ((names[0], ("2026-01", "2026-02", "2026-04")), (EVIL, ("2026-01", "2026-03")))
        )
    ]
    whole = [
        rates_of(name, [line("all", f"{slug}+", 0.05 * n, 0.01) for slug in SLUGS], SLUGS, "raw")
        for n, name in enumerate(names)
    ]
    return {
        "points": points_data(points_of_rates(whole), [EVIL, *TITLES[1:]]),
        "figure1": web.per_video_data(series(systems)),
        "figure2": web.occurrences_data(series(systems), TITLES),
        "radar": web.radar_data(radar_of(f1, SLUGS, "endorsed", names), TITLES),
        "circle": web.circle_data(series(systems), TITLES, SLUGS),
        "systems": web.systems_data(scored_of(macros, names)),
        "attrition": web.attrition_data(attrition(EVIL)),
        "genres": web.genres_data(rates, [EVIL, *TITLES[1:]]),
        "months": web.months_data(
            [months_of(one) for one in rates], [EVIL, *TITLES[1:]], [0, 18, 17, 16, 15]
        ),
    }


def page_of(folder: Path, charts: dict[str, Any], names: list[str] | None = None) -> Path:
    """A page as the report's: its policy, its scripts in their order, a place for every chart."""
    for part in ("assets", "data"):
        (folder / part).mkdir()
    for script in (ROOM / "assets").glob("*.js"):
        shutil.copy(script, folder / "assets")
    data = json.dumps(charts).replace("<", "\\u003c")
    (folder / "data" / "charts.js").write_text(
        f"window.tikval = window.tikval || {{}};\ntikval.charts = {data};\n"
    )
    (folder / "style.css").write_text(STYLE)
    plots = "".join(
        f'<h2>{escape(name)}</h2><div class="plot" data-chart="{escape(name)}"></div>'
        for name in names or charts
    )
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Charts</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(pages.POLICY)}">'
        f'<link rel="stylesheet" href="style.css"></head><body>{plots}{SCRIPTS}'
    )
    return folder


Colour = tuple[int, int, int]


def has(tab: Tab, name: str, colour: Colour) -> bool:
    return bool(tab.page.locator(f'[data-chart="{name}"]').evaluate(HAS, list(colour)))


def until(tab: Tab, script: str, arg: Any) -> None:
    """Asks again until it is so: Playwright's own waiting evaluates a string in the page, which the policy forbids."""
    for _ in range(100):
        if tab.page.evaluate(script, arg):
            return
        tab.page.wait_for_timeout(100)
    pytest.fail(f"not so after ten seconds: {script} {arg}")


def drawn(tab: Tab, name: str, colour: Colour) -> None:
    """Waits until a chart, which moves as it appears, has the colour. Fails after some seconds."""
    script = f"([name, colour]) => ({HAS})(document.querySelector(`[data-chart=${{name}}]`), colour)"
    until(tab, script, [name, list(colour)])


def height(tab: Tab, name: str) -> float:
    box = tab.page.locator(f'[data-chart="{name}"]').bounding_box()
    assert box is not None
    return box["height"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_every_kind_is_drawn(tmp_path: Path, visit: Visit, width: int, dark: bool) -> None:
    charts = all_kinds()
    assert {data["kind"] for data in charts.values()} == set(web.KINDS) - {
        "pipelines"
    }  # a list of the page's own
    tab = visit(page_of(tmp_path, charts), "index.html", width=width, dark=dark)
    for name in charts:
        drawn(tab, name, BLUE_DARK if dark else BLUE_LIGHT)
        assert not has(tab, name, BLUE_LIGHT if dark else BLUE_DARK)
        plot = tab.page.locator(f'[data-chart="{name}"]')
        assert plot.get_attribute("role") == "img"
        sentence = plot.get_attribute("aria-label") or ""
        assert sentence.endswith(".")
        assert any(word in sentence.lower() for word in ("annotations", "predict", "systems", "posts"))
        assert "\n" not in sentence
        assert plot.locator("img, style, script").count() == 0
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_open_page_follows_its_width_and_its_colours(tmp_path: Path, visit: Visit) -> None:
    tab = visit(page_of(tmp_path, all_kinds()), "index.html", width=DESK)
    wide = {name: height(tab, name) for name in ("figure2", "genres", "months")}
    tab.page.set_viewport_size({"width": PHONE, "height": 900})
    for name, before in wide.items():
        until(
            tab,
            "([name, before]) => document.querySelector(`[data-chart=${name}]`).clientHeight > before",
            [name, before],
        )
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE
    tab.page.emulate_media(color_scheme="dark")
    for name in all_kinds():
        drawn(tab, name, BLUE_DARK)


def test_many_systems_are_a_choice(tmp_path: Path, visit: Visit) -> None:
    """Annotations and the first system at first; a click on a name adds a panel; the last one cannot be taken away."""
    charts = {"figure2": all_kinds(9)["figure2"]}
    tab = visit(page_of(tmp_path, charts), "index.html", width=PHONE)
    two = height(tab, "figure2")
    plot = tab.page.locator(".plot")

    def click_first(*, until: Callable[[float], bool]) -> None:
        plot.click(position={"x": 40, "y": 13})
        assert until(height(tab, "figure2")), height(tab, "figure2")

    click_first(until=lambda now: now < 0.6 * two)  # only the system
    one = height(tab, "figure2")
    plot.click(position={"x": 130, "y": 13})
    assert height(tab, "figure2") == one  # it stays
    click_first(until=lambda now: now == two)


def test_what_was_chosen_outlives_a_change_of_colours(tmp_path: Path, visit: Visit) -> None:
    tab = visit(page_of(tmp_path, {"figure2": all_kinds(9)["figure2"]}), "index.html", width=PHONE)
    tab.page.locator(".plot").click(position={"x": 40, "y": 13})
    one = height(tab, "figure2")
    tab.page.emulate_media(color_scheme="dark")
    drawn(tab, "figure2", BLUE_DARK)
    assert height(tab, "figure2") == one


def test_a_tooltip_is_a_picture(tmp_path: Path, visit: Visit) -> None:
    tab = visit(page_of(tmp_path, all_kinds()), "index.html", width=DESK)
    tab.page.emulate_media(reduced_motion="reduce")
    for name in all_kinds():
        drawn(tab, name, BLUE_LIGHT)
        plot = tab.page.locator(f'[data-chart="{name}"]')
        box = plot.bounding_box()
        assert box is not None
        for step in range(1, 8):
            plot.hover(position={"x": box["width"] * step / 8, "y": box["height"] * 0.45})
        assert plot.locator("*:not(canvas, div)").count() == 0, name
        assert plot.inner_text() == "", name
    assert tab.page.locator("img").count() == 0


def test_what_cannot_be_drawn_is_named(tmp_path: Path, visit: Visit) -> None:
    charts = {
        "unknown": {"kind": EVIL},
        "none": None,
        "broken": {"kind": "circle"},
        "figure1": all_kinds()["figure1"],
    }
    places = ["unknown", "none", "broken", "elsewhere", "constructor", "__proto__", "figure1"]
    tab = visit(page_of(tmp_path, charts, places), "index.html", width=DESK)
    drawn(tab, "figure1", BLUE_LIGHT)  # after one that is broken
    texts = tab.page.locator(".plot").all_inner_texts()
    assert [text.startswith("This chart cannot be shown here") for text in texts] == [True] * 6 + [False]
    assert len(tab.errors) == 1, tab.errors
    assert "undefined" in tab.errors.pop()  # of the broken one, for whoever looks


def test_without_echarts_there_is_a_text(tmp_path: Path, visit: Visit) -> None:
    folder = page_of(tmp_path, all_kinds())
    (folder / "assets" / "echarts.min.js").write_text("")
    tab = visit(folder, "index.html")
    assert all("the files beside it" in text for text in tab.page.locator(".plot").all_inner_texts())
