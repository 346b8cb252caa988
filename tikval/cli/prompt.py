"""`tikval prompt ...`: choosing a prompt on videos that enter no score, and a check at the end on those that do."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tikval.cli.analyze import Purse
from tikval.cli.app import app
from tikval.cli.guard import FAILED, guard
from tikval.cli.job import run_config, summary, too_many_failed
from tikval.cli.profiles import profile_file
from tikval.cli.results import Picked, picked_study
from tikval.config import UserError, read_yaml
from tikval.stats.limits import FEWEST_ACCOUNTS, counted
from tikval.store.runs import Study
from tikval.terminal import Terminal

if TYPE_CHECKING:
    from tikval.evaluate.development import Development, DevelopmentLook
    from tikval.study.prompt_trial import TriedPrompt

prompt = typer.Typer(
    help="Choose a prompt honestly: a development sample that enters no score, comparisons on it that are counted, "
    "and a held-out check at the end.",
    no_args_is_help=True,
)
app.add_typer(prompt, name="prompt")

Of = Annotated[str, typer.Option("--study", help="The folder of an analysis.")]
Annotator = Annotated[str | None, typer.Option(help="Whose labels are the truth, of several.")]


@prompt.command()
def sample(
    out: Annotated[str, typer.Argument(help="The folder of an analysis with annotations.")],
    n: Annotated[int, typer.Option("--n", min=1, help="About so many videos, as accounts stay whole.")] = 18,
    by: Annotated[
        str | None, typer.Option(help="Draw within each genre, month, or group by another column.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and videos give the same sample.")] = 0,
    annotator: Annotator = None,
    codebook: Picked = None,
) -> None:
    """Set annotated videos apart to try prompts on, whole accounts; from then on they are in no score."""
    from tikval.evaluate.development import draw_development
    from tikval.study.prompt_trial import true_labels

    study = picked_study(out, codebook)
    drawn = draw_development(study.out, study.catalog(), true_labels(study, annotator), n, by, seed)
    accounts = len(drawn.groups)
    print(f"{counted(len(drawn.ids), 'video')} of {counted(accounts, 'account')}: {drawn.folder.uri}")
    print("they are in no score from now on: run tikval analyze again, and scores are made without them")
    if accounts < FEWEST_ACCOUNTS:
        print(
            f"tikval: note: {counted(accounts, 'account')} are too few for an interval ({FEWEST_ACCOUNTS} at least); "
            "before the first comparison a larger --n replaces this sample",
            file=sys.stderr,
        )


@prompt.command()
def compare(
    a: Annotated[
        str, typer.Argument(help="A finished system's name, a prompt's file, or a codebook's (.yaml).")
    ],
    b: Annotated[str, typer.Argument(help="Likewise.")],
    out: Of,
    profile: Annotated[
        str, typer.Option(help="What a file is put into: local, gemini, ..., or a configuration of values.")
    ] = "local",
    step: Annotated[
        Literal["values", "scripts"], typer.Option(help="Whose prompt a file is, of a system of two steps.")
    ] = "values",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the configuration of values.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="USD for calls of paid models, of each prompt.")
    ] = None,
    annotator: Annotator = None,
    codebook: Picked = None,
) -> None:
    """A against B on the development sample: differences, labels, videos, agreement, cost; each look is counted."""
    words = (a, b), profile, step, tuple(overrides or ())
    raise typer.Exit(guard(lambda: _compare(picked_study(out, codebook), *words, budget, annotator)))


def _compare(
    study: Study,
    words: tuple[str, str],
    profile: str,
    step: str,
    overrides: tuple[str, ...],
    budget: float | None,
    annotator: str | None,
) -> int:
    from tikval.evaluate.answers import read_truth
    from tikval.evaluate.development import COMPARED, look_now, mark_of_data
    from tikval.evaluate.prompt_comparison import compare_prompts, cost_of
    from tikval.report.shown_ids import shown_ids
    from tikval.report.tables.prompts import show_prompt_comparison
    from tikval.stats.limits import FEWEST_POSITIVES
    from tikval.study.prompt_trial import rows_of_prompt, tried_prompt, true_labels

    development = _development(study)
    file = _values_of(profile)
    one, other = (tried_prompt(study, development, word, file, step, overrides) for word in words)
    if one.mark == other.mark:
        raise UserError(f"{one.name} and {other.name} are the same prompt: there is nothing to compare")
    labels = [row for row in true_labels(study, annotator) if row["video_id"] in development.ids]
    failed = [_try(study, development, prompt, budget) for prompt in (one, other)]
    ids = sorted(row["video_id"] for row in labels)
    (rows_a, steps_a), (rows_b, steps_b) = (rows_of_prompt(study, each, ids) for each in (one, other))
    names = (one.name, other.name if other.name != one.name else f"{other.name} (B)")
    try:
        truth = read_truth(labels, study.codebook().labels, 0.0, min_positives=FEWEST_POSITIVES)
        costs = cost_of(rows_a, steps_a, ids), cost_of(rows_b, steps_b, ids)
        found = compare_prompts(names, (rows_a, rows_b), truth, costs)
    except ValueError as err:
        raise UserError(str(err)) from err
    look = look_now(
        COMPARED, names, (one.mark, other.mark), mark_of_data(labels, [*rows_a, *rows_b]), found.found
    )
    new = development.record(look)  # before it is seen
    show_prompt_comparison(found, shown_ids(study), _console())
    _count(development, look, new)
    return FAILED if any(failed) else 0


def _try(study: Study, development: "Development", tried: "TriedPrompt", budget: float | None) -> bool:
    """Run a prompt on the development sample, where it has not judged it; returns whether too many failed."""
    from tikval.study.prompt_trial import prepare_trial, share_replies

    if not tried.jobs:
        return False
    prepare_trial(study, development, tried)
    purse, wrong = Purse(budget, [job.folder for job in tried.jobs]), False
    for job in tried.jobs:
        run = run_config(purse.for_stage(job))
        print(summary(job, run), file=sys.stderr)
        wrong = wrong or too_many_failed(job, run)
    share_replies(study, development)
    return wrong


@prompt.command()
def check(
    system: Annotated[str, typer.Argument(help="A finished system of the study.")],
    out: Of,
    annotator: Annotator = None,
    codebook: Picked = None,
) -> None:
    """The chosen prompt on the held-out videos against the development sample, once, at the end."""
    from tikval.evaluate.answers import read_truth
    from tikval.evaluate.development import CHECKED, look_now, mark_of_data
    from tikval.evaluate.prompt_comparison import check_held_out
    from tikval.report.tables.prompts import show_held_out
    from tikval.stats.limits import FEWEST_POSITIVES
    from tikval.study.prompt_trial import prompted_system, rows_of_prompt, true_labels

    study = picked_study(out, codebook)
    development = _development(study)
    tried = prompted_system(study, system)
    rows = [row for row in true_labels(study, annotator) if _counts(row, development)]
    ids = sorted(row["video_id"] for row in rows)
    predictions, _ = rows_of_prompt(study, tried, ids)
    try:
        truth = read_truth(rows, study.codebook().labels, 0.0, min_positives=FEWEST_POSITIVES)
        found = check_held_out(system, predictions, truth, development.ids)
    except ValueError as err:
        raise UserError(str(err)) from err
    look = look_now(CHECKED, (system,), (tried.mark,), mark_of_data(rows, predictions), found.found)
    new = development.record(look)
    show_held_out(found, _console())
    _count(development, look, new)


def _counts(row: Any, development: "Development") -> bool:
    """Whether an annotated video is of the sample, or of an account that has nothing in it."""
    return row["video_id"] in development.ids or not development.holds(row)


def _development(study: Study) -> "Development":
    from tikval.evaluate.development import development_of

    found = development_of(study.catalog())
    if found is None:
        raise UserError(
            f"{study.out}: has no development sample yet; draw one: tikval prompt sample {study.out}"
        )
    return found


def _values_of(profile: str) -> str:
    """The configuration of values that a profile names: of one system, or a file of its own."""
    if profile.endswith(".yaml"):
        return profile
    scores = read_yaml(profile_file(profile)).get("scores")
    named = read_yaml(scores).get("predictions", []) if isinstance(scores, str) else []
    files = [each for each in named if isinstance(each, str)]
    if len(files) != 1:
        raise UserError(
            f"--profile {profile}: names {len(files)} systems ({', '.join(files)}); name one of these files"
        )
    return str(files[0])


def _console() -> Terminal:
    return Terminal(width=None if sys.stdout.isatty() else 160)


def _count(development: "Development", look: "DevelopmentLook", new: bool) -> None:
    """How often the videos were looked at, and where that is written down."""
    from tikval.evaluate.development import COMPARED

    same = [each for each in development.looks if each.kind == look.kind]
    prompts = len({mark for each in same for mark in each.prompts})
    again = "" if new else " (the same as before: no new look)"
    if look.kind == COMPARED:
        print(
            f"this development sample was looked at {counted(len(same), 'time')}, {counted(prompts, 'prompt')}{again}; "
            "differences that are found here flatter the winner"
        )
    else:
        print(f"held-out was looked at {counted(len(same), 'time')}{again}")
        if len(same) > 1:
            print(
                "tikval: note: a prompt that is chosen after a check was chosen on these videos too",
                file=sys.stderr,
            )
    print(f"looks: {development.folder.uri}/looks.json")
