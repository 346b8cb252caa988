"""The options of `tikval analyze`, which `plan` takes too and `check` in part, and what they ask for."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import typer

from tikval.cli.profiles import Wanted
from tikval.config import UserError

Videos = Annotated[
    str,
    typer.Argument(
        help="Folder, glob, a table that lists them (CSV, xlsx, Parquet, JSON), or an export of their posts; local or "
        "a URI."
    ),
]
Media = Annotated[
    str | None, typer.Option(help="Of an export: the folder with its posts' files; else the export's own.")
]
ColumnsMap = Annotated[
    str | None, typer.Option(help="Of an export that is not known: a YAML map of its columns.")
]
Annotations = Annotated[str | None, typer.Option(help="Human labels to score against.")]
Accounts = Annotated[str | None, typer.Option(help="A table of what is known of the accounts.")]
Annotator = Annotated[str | None, typer.Option(help="Whose labels are the truth, of several.")]
CodebookFile = Annotated[str | None, typer.Option(help="Another codebook than Schwartz's values.")]
Profiles = Annotated[
    list[str] | None,
    typer.Option(
        help="A folder of configurations, or the name of one in configs/ (local unless named); again for several."
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Option(help="The system's name in every table; of several systems one for each, in their order."),
]
MinorsUnknown = Annotated[
    Literal["send", "withhold"] | None,
    typer.Option(help="Videos of which nothing says whether a minor features in them, to an outside model."),
]
Evidence = Annotated[
    bool | None,
    typer.Option(
        "--evidence/--no-evidence",
        help="Language models also quote what speaks for each stance (more tokens of replies); else where OUT has no "
        "answers of theirs without it.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="key=value of the profile's report.yaml (of one of several: PROFILE:key=value), or "
        "embeddings.key=value of its embed.yaml.",
    ),
]
AnnotatedBy = Annotated[
    Literal["random", "accounts", "weights"] | None,
    typer.Option(help="How the annotated videos were chosen; else no rate is corrected by them."),
]
NoAnnotations = Annotated[
    bool, typer.Option("--no-annotations", help="Take away those that were given before.")
]
NoAccounts = Annotated[bool, typer.Option("--no-accounts", help="Likewise.")]
Title = Annotated[str | None, typer.Option(help="Of the report.")]
ShowVideos = Annotated[
    bool, typer.Option("--show-videos", help="A player of each video's own file on its page; of no minors.")
]
Embeddings = Annotated[
    bool, typer.Option("--embeddings", help="Also vectors of pictures, sound and on-screen text.")
]
Budget = Annotated[float | None, typer.Option(help="USD for calls of paid models, in all; then it stops.")]
ShardWords = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="NUMBER/HOW-MANY, such as 3/16: the scripts and values of these videos alone, with a lock and a budget of "
        "their own; tikval merge puts all shards together.",
    ),
]

OF_EMBEDDINGS: Final = "embeddings."  # settings that begin so


def wanted_of(options: Mapping[str, Any]) -> Wanted:
    """What these options, by name, ask for. Raises UserError where two exclude each other."""
    taken_away = [table for table in ("annotations", "accounts") if options[f"no_{table}"]]
    for table in taken_away:
        if options[table]:
            raise UserError(f"--{table} and --no-{table}: one of them")
    same = ("videos", "out", "annotations", "annotated_by", "accounts", "codebook", "annotator", "title")
    more = ("minors_unknown", "media", "columns", "evidence")
    sets = [setting for setting in options["overrides"] or () if not setting.startswith(OF_EMBEDDINGS)]
    return Wanted(
        **{name: options[name] for name in (*same, *more)},
        without=tuple(taken_away),
        names=tuple(options["name"] or ()),
        overrides=(*(["show_videos=true"] if options["show_videos"] else []), *sets),
    )
