"""How many posts are left at each step from listed to annotated: the numbers, as CSV, and drawn."""

from typing import TYPE_CHECKING, Any

from tikval.evaluate.attrition import Attrition
from tikval.evaluate.attrition_steps import ANNOTATED, JUDGED, STEPS
from tikval.report.figures.numbers import as_csv
from tikval.report.figures.style import BLUE, GREY, panels_of, short
from tikval.report.tables.attrition import share_text, words_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def step_names(found: Attrition) -> list[str]:
    """The steps that are drawn: the last one only where something is annotated."""
    names = [
        f"judged by {found.system}" if n == JUDGED and found.system else step for n, step in enumerate(STEPS)
    ]
    return names if found.total.reached[ANNOTATED] else names[:ANNOTATED]


def steps_csv(found: Attrition) -> bytes:
    """A line per step."""
    reached = found.total.reached
    return as_csv(
        ("step", "posts", "lost", "share_of_listed", "share_of_step_before"),
        (
            (
                name,
                reached[place],
                reached[max(0, place - 1)] - reached[place],
                *(reached[place] / of if of else None for of in (reached[0], reached[max(0, place - 1)])),
            )
            for place, name in enumerate(step_names(found))
        ),
    )


def losses_at(found: Attrition, place: int) -> list[tuple[str, int]]:
    """Why posts do not reach a step, in words, and how many."""
    return [(words_of(loss), loss.posts) for loss in found.total.losses if loss.step == place]


def funnel(found: Attrition) -> "Figure":
    """Draw a bar per step, and what was lost since the step before behind it."""
    names, reached = step_names(found), found.total.reached
    figure, panels = panels_of(1, 4.2, 0.4 + 0.3 * len(names), extra=1.6)
    panel: Any = panels[0]
    places, posts = list(range(len(names))), list(reached[: len(names)])
    lost = [reached[max(0, n - 1)] - reached[n] for n in places]
    panel.barh(places, posts, 0.72, color=BLUE, label="posts")
    panel.barh(
        places, lost, 0.72, left=posts, color="white", edgecolor=GREY, hatch="////", linewidth=0.6,
        label="lost since the step before",
    )  # fmt: skip
    listed = max(1, reached[0])
    for place in places:
        text = f"{posts[place]:,}  ({share_text(posts[place], reached[0])})"
        panel.annotate(
            text,
            (posts[place] + lost[place], place),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    panel.set_yticks(places, [short(name, 40) for name in names])
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_xlim(0, 1.28 * listed)
    panel.set_xticks([])
    panel.tick_params(axis="y", length=0)
    panel.spines["bottom"].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
