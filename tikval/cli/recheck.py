"""`tikval recheck`: which of a study's posts are gone from their platform, and their erasure."""

import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from tikval.cli.app import app
from tikval.cli.guard import FAILED
from tikval.cli.results import show_erasure
from tikval.files import plain_address
from tikval.stats.limits import counted
from tikval.store.runs import Study

_NAMED: Final = 20  # ids on a terminal


@app.command()
def recheck(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    deleted: Annotated[
        str | None,
        typer.Option(help="Posts that are gone: an id a line, a table, or the reply of a compliance check."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase them; without it they are only named.")] = False,
    ids: Annotated[
        str | None, typer.Option(help="Write the study's own ids to this file, for a compliance check.")
    ] = None,
) -> None:
    """Posts that their platform no longer shows: which of a list this study has, and with --yes their erasure."""
    from tikval.study.recheck import age_of_study, ids_to_check, write_ids

    study = Study(out)
    print(f"{study.out}: {age_of_study(study)}")
    if ids:
        found, others = ids_to_check(study)
        places = write_ids(found, ids)
        print(f"{counted(len(found), 'id')}: {', '.join(places)}")
        if others:
            print(
                f"tikval: note: {counted(others, 'post')} without an id of a platform are not in it",
                file=sys.stderr,
            )
    if deleted and _erase_deleted(study.out, deleted, yes):
        raise typer.Exit(FAILED)


def _erase_deleted(out: str, deleted: str, yes: bool) -> bool:
    """Name the posts of a list, and erase them; whether anything of them is left."""
    from tikval.sources.deleted_ids import read_deleted_ids
    from tikval.study.erasure import erase_names
    from tikval.study.recheck import plan_recheck

    listed = read_deleted_ids(deleted)
    told = [f"{n:,} {word} ({'gone' if gone else 'stay'})" for word, (n, gone) in listed.counts().items()]
    print(f"{plain_address(deleted)}: {', '.join(told)}")
    plan = plan_recheck(out, listed.ids)
    _name(plan.here, "in this study" if yes else "would be erased")
    _name(plan.erased, "erased before")
    _name(plan.elsewhere, "not in this study")
    if not yes:
        if plan.here:
            print(
                "nothing is erased yet: the same command with --yes does it, and keeps them from coming back"
            )
        return False
    left = show_erasure(out, plan.names, *erase_names(out, plan.names))
    print("the media and exports that the study was made of are as they were: delete these posts there too")
    return left


def _name(ids: Sequence[str], what: str) -> None:
    if ids:
        more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
        print(f"{len(ids):,} {what}: {', '.join(ids[:_NAMED])}{more}")
