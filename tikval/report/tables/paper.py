"""The paper's Tables 3 to 6 over the systems that a study scored: on a terminal, as CSV and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tikval.config import EvaluateConfig, UserError, validate
from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.development import development_note
from tikval.files import write_bytes
from tikval.report.averaged import averaged_notes
from tikval.report.tables.cells import Cell, cells_of, counterparts_of
from tikval.report.tables.grids import Grid, csv_text, grids, markdown
from tikval.report.tables.published import published
from tikval.store.runs import Study


@dataclass(frozen=True, slots=True)
class PaperTables:
    """The tables of one study."""

    cells: list[Cell]
    averaged: list[str]  # which labels the means run over, in sentences

    def grids(self) -> list[Grid]:
        return grids(self.cells, published(), self.averaged)


def tables_of(study: Study, pairs: Sequence[str] = ()) -> PaperTables:
    """The tables of the scores that finished last.

    `pairs`: SYSTEM=ROW, a row of the paper for a system of any name; SYSTEM=, none. Raises UserError where nothing is
    scored, and for a pair that names what is not there.
    """
    latest = study.latest("scores")
    if latest is None:
        raise UserError(f"{study.out}: no scores here; run jobs/evaluate.py, or analyze with --annotations")
    folder, run = latest
    scores, paper = folder.read().to_pylist(), published()
    if not scores:
        raise UserError(
            f"{study.out}: no annotated videos, so there are no tables; name annotations in the catalog"
        )
    config = validate(EvaluateConfig, run.config, f"{folder.uri}/run.json")
    chosen = dict(paper.counterparts)
    here = [system.system for system in config.predictions]
    for pair in pairs:
        system, equals, row = pair.partition("=")
        if not equals or system in BASELINES or system not in here:
            raise UserError(f"--beside {pair}: say SYSTEM=ROW; the systems are {', '.join(here)}")
        chosen.pop(system, None)
        if row:
            chosen[system] = row
    try:
        counterparts = counterparts_of(scores, config.predictions, chosen, paper)
    except ValueError as err:
        raise UserError(f"--beside: {err}") from err
    notes = averaged_notes(scores, config)
    if about := development_note(study.catalog(), run):
        notes.append(f"Development sample: {about}.")
    return PaperTables(cells_of(scores, counterparts, paper), notes)


def show_tables(tables: PaperTables, console: Console) -> None:
    for grid in tables.grids():
        table = Table(*grid.head, title=grid.title, title_justify="left")
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
        for note in grid.notes:
            console.print(note)


def write_tables(tables: PaperTables, folder: Path | str) -> list[str]:
    """Write `table_3.csv` to `table_6.csv`, and all as `tables.md`, into a folder or below a URI.

    Returns where they lie. Raises UserError where they cannot be written.
    """
    texts = {
        f"table_{table}.csv": csv_text(cell for cell in tables.cells if cell.table == table)
        for table in (3, 4, 5, 6)
    }
    texts["tables.md"] = markdown(tables.grids())
    try:
        for name, text in texts.items():
            write_bytes(f"{folder}/{name}", text.encode())
    except OSError as err:
        raise UserError(f"{folder}: cannot be written ({err.strerror or err})") from err
    return [f"{folder}/{name}" for name in texts]
