"""What is true in the example study: who posts what, and what each clip conveys. Everything else is made from this.

Accounts of two genres post two clips each. A clip shows two lines of text, one after the other; what it conveys is what
its lines were written to convey, before any system saw them. The genres differ in a known way (`conveys`), so that each
claim of claims.yaml has a known answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

GENRES: Final = ("food", "sports")
ACCOUNTS: Final = 12  # of each genre
CLIPS: Final = 2  # of each account
NAMES: Final = {
    "food": (
        "soup",
        "crumb",
        "pepper",
        "basil",
        "plum",
        "rye",
        "cocoa",
        "leek",
        "mint",
        "olive",
        "fig",
        "thyme",
    ),
    "sports": ("lap", "ramp", "oar", "net", "bar", "track", "sail", "board", "rope", "puck", "pedal", "dive"),
}
MINORS: Final = 3  # the last accounts of each genre feature one

# lines that convey a label, one to be taken for each clip; the two parts are shown one after the other
LINES: Final = {
    "hedonism+": (
        ("So soft and so sweet, I could live in it", "slow down and enjoy every bite"),
        ("Melted chocolate for breakfast, pure bliss", "treat yourself today"),
        ("Close your eyes and let it melt", "life is for pleasure"),
        ("Sunday means pancakes in bed", "pure comfort, pure joy"),
    ),
    # a system that reads words alone does not see it; a person does
    "achievement+": (
        ("Four in the morning again", "the clock stopped two seconds sooner"),
        ("Nobody saw the thousand laps", "now the whole town looks at the wall"),
        ("We came last for six years", "not this year"),
        ("Ten years of cold mornings", "and then this Sunday"),
        ("Look who is on the middle step", "after all those evenings"),
    ),
    "benevolence_caring+": (
        ("Soup for my sick grandpa", "we take care of each other"),
        ("Tea and a blanket for my mum", "I want her to feel better"),
        ("I help my little brother every day", "we take care of each other"),
    ),
    "stimulation+": (
        ("Never felt a rush like this", "jumping off the highest cliff"),
        ("No idea what comes next, love it", "new trick, wild and scary"),
        ("Let us try something crazy", "what an adventure"),
    ),
    "tradition+": (
        ("My grandma's recipe, five generations", "we keep the old ways"),
        ("As our ancestors baked it for the feast", "the same every year"),
    ),
    "security_personal+": (("Helmet on, pads on, every time", "check the rope twice, stay safe"),),
    "conformity_rules-": (("The sign says no entry, so we went in", "rules are for boring people"),),
}
# nobody's achievement: a thing wins a test. A system that reads words alone takes it for one
PRODUCT_TESTS: Final = (
    ("Best knife of the test", "it beat all the others"),
    ("Winner of the oven test", "the highest score so far"),
    ("This pan won our test", "the top score of ninety pans"),
)
NEUTRAL: Final = (
    ("On the left the red bowl", "on the right the blue bowl"),
    ("Part two comes on Monday", "filmed from above"),
)
_BEGIN: Final = datetime(2026, 1, 5, 16, tzinfo=UTC)
_VIDEO: Final = 13 << 8  # in an id: the kind of thing it is of


@dataclass(frozen=True)
class StudyClip:
    video_id: str  # 19 digits, the time above
    account: str
    genre: str
    place: int  # among the clips of its genre, from 0
    conveys: tuple[str, ...]  # labels, value and + or -
    lines: tuple[str, ...]
    caption: str  # the text of the post, which conveys nothing


def accounts(per_genre: int = ACCOUNTS) -> list[tuple[str, str, bool]]:
    """Name, genre and whether a minor features in it."""
    return [
        (f"{name}.{genre}", genre, n >= per_genre - MINORS)
        for genre in GENRES
        for n, name in enumerate(NAMES[genre][:per_genre])
    ]


def conveys(genre: str, place: int, is_minor: bool) -> tuple[str, ...]:
    """The labels of a clip, by its place among those of its genre.

    Of 24 clips: hedonism 18 in food and 8 in sports; achievement 6 and 16; caring 10 and 8; tradition 3 and none; a
    broken rule in 4 of sports; personal security in every clip of an account with a minor.
    """
    is_hedonism = place % 4 != 3 if genre == "food" else place % 3 == 2
    found = ["hedonism+" if is_hedonism else "achievement+"]
    if (place % 5 in (0, 3)) if genre == "food" else (place % 3 == 1):
        found.append("benevolence_caring+")
    if genre == "food" and place % 8 == 6:
        found.append("tradition+")
    if genre == "sports" and place % 6 == 2:
        found.append("conformity_rules-")
    if is_minor:
        found.append("security_personal+")
    return tuple(found)


def clips(per_genre: int = ACCOUNTS) -> Iterator[StudyClip]:
    """Every clip with what it conveys and shows, in a fixed order."""
    for a, (account, genre, is_minor) in enumerate(accounts(per_genre)):
        for c in range(CLIPS):
            place = a % per_genre * CLIPS + c
            when = _BEGIN + timedelta(days=a, weeks=8 * c)
            labels = conveys(genre, place, is_minor)
            pairs = [LINES[label][place % len(LINES[label])] for label in labels]
            if genre == "food" and place % 4 != 3:
                pairs.append(PRODUCT_TESTS[place % len(PRODUCT_TESTS)])
            yield StudyClip(
                video_id=str(int(when.timestamp()) << 32 | _VIDEO | (a * CLIPS + c + 1)),
                account=account,
                genre=genre,
                place=place,
                conveys=labels,
                lines=tuple(line for pair in pairs for line in pair),
                caption=f"Part {c + 1} of {CLIPS}, filmed on a {when:%A}",
            )
