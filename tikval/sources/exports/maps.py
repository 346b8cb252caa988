"""What a source calls the fields of a post: one YAML file a source, in configs/sources or a user's own.

A path is names with points between them (`author.uniqueId`), `[]` behind a list whose items are meant each
(`hashtags[].name`), and `?` at its end where only counts whether something is there (`imagePost?`). The first of
several paths that tells something counts. Cells of a table are found in the same way: `authorMeta/name` is
`authorMeta.name`.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tikval.config import UserError
from tikval.config.base import Config, read_yaml, validate
from tikval.rows import Outcome

SHIPPED: Final = (
    "zeeschuimer",
    "research_api",
    "apify",
    "apify_instagram",
    "4cat",
    "yt_dlp",
    "web_items",
    "pyktok",
    "minet",
    "collected",
    "tikval",
)
Name = Literal[
    "video_id",
    "account",
    "url",
    "caption",
    "posted_at",
    "posted_at_from_id",
    "pinned",
    "duration",
    "is_ad",
    "is_aigc",
    "is_slideshow",
    "likes",
    "shares",
    "comments",
    "plays",
    "saves",
    "music",
    "hashtags",
    "collected_at",
    "source",
    "outcome",
    "detail",
    # of no row, but what rows are made from
    "hashtags_in_text",  # a text with #hashtags among its words
    "platform",  # a site's or program's name for where the post is
    "file",  # where its media are
    "status",  # a code or word of the platform that says why there is no post
    "live",
    "deleted",
    "private",
]


def _path(text: str) -> str:
    parts = text.removesuffix("?").split(".")
    if len(parts) > 8 or not all(part.removesuffix("[]") for part in parts):
        raise ValueError(f"{text[:60]!r} is no path of names with points between them")
    return text


def _several(found: Any) -> Any:
    return (found,) if isinstance(found, str) else found


def _names(told: dict[str, Any]) -> dict[str, Any]:
    if odd := [name for name in told if name not in get_args(Name)]:
        raise ValueError(f"{odd[0][:60]!r} is no field of a post")
    return told


Told = Annotated[dict[str, Any], AfterValidator(_names)]
Path = Annotated[str, AfterValidator(_path)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_several), Field(min_length=1)]


class SourceMap(Config):
    """One source: how its rows are recognised, where they stand, and what they call the fields of a post."""

    note: str = ""  # for who reads the file
    title: str = "a table read by a map of its own"  # in messages, with its article
    recognised_by: tuple[Paths, ...] = ()  # a row that has all names of one of these is of this source
    unless: Annotated[tuple[Path, ...], BeforeValidator(_several)] = ()  # ... and none of these
    lists: dict[Path, Told] = Field(
        default={}
    )  # of a document: where its rows are, and what that tells of them
    columns: dict[Name, Paths] = Field(min_length=1)
    platforms: dict[Literal["tiktok", "instagram", "youtube"], dict[Name, Paths]] = Field(
        default={}
    )  # in place of columns
    absent: Told = Field(default={})  # what it means that a row does not have a field
    bare: Outcome | None = None  # what became of a post of which a row has nothing but the id
    last_counts: bool = False  # of several rows of a post: it is a log
    any_id: bool = False  # ids need not be a platform's

    @model_validator(mode="after")
    def _names_a_post(self) -> Self:
        if not {"video_id", "url"} & set(self.columns):
            raise ValueError("columns has neither video_id nor url: no row would name a post")
        return self

    def fits(self, cells: Mapping[str, Any]) -> bool:
        """Whether a row is of this source."""
        has = any(all(has_path(cells, path) for path in names) for names in self.recognised_by)
        return has and not any(has_path(cells, path) for path in self.unless)

    def used(self) -> dict[str, set[str]]:
        """The outermost names that its columns are found by, and those within them."""
        columns = [
            *self.columns.values(),
            *(paths for others in self.platforms.values() for paths in others.values()),
        ]
        found: dict[str, set[str]] = {}
        for path in (path for paths in columns for path in paths):
            first, *rest = path.removesuffix("?").replace("[]", "").split(".")
            found.setdefault(first, set()).update(rest[:1])
        return found


def load_map(path: str) -> SourceMap:
    """A user's own map, in which an id may be any unless it says otherwise.

    Raises UserError that names the file and the key.
    """
    mine = validate(SourceMap, read_yaml(path), path)
    return mine if "any_id" in mine.model_fields_set else mine.model_copy(update={"any_id": True})


def shipped_maps() -> dict[str, SourceMap]:
    """The maps that come with tikval, the ones that are easiest to tell first."""
    paths = {name: f"configs/sources/{name}.yaml" for name in SHIPPED}
    return {name: validate(SourceMap, read_yaml(path), path) for name, path in paths.items()}


def fitting_map(cells: Mapping[str, Any], maps: Mapping[str, SourceMap]) -> tuple[str, SourceMap] | None:
    """The source that a row is of, by its name, and its map."""
    return next(((source, mine) for source, mine in maps.items() if mine.fits(cells)), None)


def map_name(path: str) -> str:
    return PurePath(path).stem


def has_path(cells: Any, path: str) -> bool:
    """Whether a row has a name, whatever stands there."""
    names = path.removesuffix("?").replace("[]", "").split(".")
    for name in names:
        if not isinstance(cells, dict) or name not in cells:
            return False
        cells = cells[name]
    return True


def value_at(cells: Any, names: Sequence[str]) -> Any:
    """What stands at a path, None for nothing; a list of what its items have, where a name ends in []."""
    for place, name in enumerate(names):
        if not isinstance(cells, dict):
            return None
        if name.endswith("[]"):
            items = cells.get(name[:-2])
            if isinstance(items, dict):  # columns tags/0/name, tags/1/name of a table
                items = list(items.values())
            if not isinstance(items, list):
                return None
            return [value_at(item, names[place + 1 :]) if names[place + 1 :] else item for item in items]
        cells = cells.get(name)
    return cells


def listed_rows(
    cells: Any, lists: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """The rows of a document that has some of these lists, each with what its list tells; else the object itself."""
    found = False
    for path, told in lists.items():
        items = value_at(cells, path.split("."))
        if isinstance(items, list):
            found = True
            yield from ((item, told) for item in items)
    if not found:
        yield cells, {}


def check_columns(mine: SourceMap, path: str, where: str, there: Mapping[str, Any]) -> None:
    """Raise UserError where a table has none of the columns that a user's map names for a field."""
    inner = {key: cell.keys() if isinstance(cell, dict) else () for key, cell in there.items()}
    names = [f"{key}.{one}" for key, keys in inner.items() for one in keys] + [
        key for key in there if not inner[key]
    ]
    for name, paths in mine.columns.items():
        if not any(has_path(there, one) for one in paths):
            close = get_close_matches(paths[0], names, 1)
            raise UserError(
                f"{path}: columns.{name}: {where} has no column {' or '.join(map(repr, paths))}"
                f"{f'; is {close[0]!r} meant?' if close else ''}; it has {', '.join(names[:40])}"
            )
