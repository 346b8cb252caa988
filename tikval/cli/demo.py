"""The sample clips that come with tikval, from files to a report: the first thing to run."""

import sys
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress

from tikval.cli.analyze import run_study
from tikval.cli.app import app
from tikval.cli.guard import guard
from tikval.cli.profiles import Wanted, asked_by, report_of_profiles
from tikval.config import LocalWriter, shipped_folder
from tikval.hub.bundled import ENCODER, WHISPER_BASE, BundledModel, cached_folder, fetch
from tikval.media.child import check_tools
from tikval.media.reading import MissingTool, Want
from tikval.terminal import Terminal, drawn

PROFILE = "demo"


@app.command()
def demo(
    ctx: typer.Context,
    out: Annotated[str, typer.Option(help="Folder for everything that comes out.")] = "out/demo",
) -> None:
    """The sample clips that come with tikval, from files to a report; works in an empty folder."""
    raise typer.Exit(guard(lambda: _demo(ctx, out)))


def _demo(ctx: typer.Context, out: str) -> int:
    samples = shipped_folder("examples")
    settings = _settings_without_tesseract()
    fetch_models()
    wanted = Wanted(
        str(samples / "videos.csv"), out, annotations=str(samples / "labels.csv"), overrides=settings
    )
    config = report_of_profiles([PROFILE], wanted)
    config = config.model_copy(update={"asked": asked_by(ctx, [PROFILE])})
    return run_study(config, None, None, with_others=True)


def _settings_without_tesseract() -> tuple[str, ...]:
    """Where Tesseract is not installed the demo runs all the same: it reads no on-screen text, and says so."""
    try:
        check_tools(Want(ocr_frames=LocalWriter().ocr.frames))
    except MissingTool as err:
        print(f"tikval: note: on-screen text is not read: {err}", file=sys.stderr)
        return ("scores.predictions.0.scripts.writer.ocr.frames=0",)
    return ()


def fetch_models() -> None:
    """Fetch the bundled models that are not here yet, with a bar. Raises UserError that says what to do instead."""
    for model in (ENCODER, WHISPER_BASE):
        if cached_folder(model) is None:
            _fetch(model)


def _fetch(model: BundledModel) -> None:
    print(f"fetching {model.what}, once", file=sys.stderr)  # of its own: beside it the bar would have no room
    bars = Progress(BarColumn(), DownloadColumn(), console=Terminal(stderr=True))
    with drawn(bars):
        bar = bars.add_task("", total=model.n_bytes)
        fetch(model, lambda n_bytes: bars.update(bar, completed=min(n_bytes, model.n_bytes)))
        bars.update(bar, completed=model.n_bytes)
