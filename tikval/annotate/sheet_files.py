"""The files that coders get, out of a coding folder's plan: a sheet as HTML and as a workbook, a guide, a zip."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from tikval.annotate.coding_folder import CodingFolder
from tikval.annotate.coding_media import write_zip
from tikval.annotate.sheet import CodingSheet, questions_of
from tikval.annotate.sheets.page import write_page
from tikval.annotate.sheets.workbook import write_workbook_sheet
from tikval.config import UserError
from tikval.files import write_bytes

GUIDE: Final = "guide.html"
_WRITERS: Final = {".html": write_page, ".xlsx": write_workbook_sheet}


def sheet_stem(coder: str, number: int) -> str:
    """What a coder's sheet is called: ann, then ann-2."""
    return coder if number == 1 else f"{coder}-{number}"


def sheet_of(folder: CodingFolder, coder: str, number: int) -> CodingSheet:
    """A sheet as it is planned. Raises UserError for an item that the folder has no material of."""
    lines = [line for line in folder.plan() if (line.coder, line.sheet) == (coder, number)]
    material = folder.practice() | folder.items()
    if missing := [line.item for line in lines if line.item not in material]:
        raise UserError(f"{folder.path / 'items.jsonl'}: has nothing on {missing[0]}, which is in plan.csv")
    book = folder.codebook()
    return CodingSheet(
        coder,
        f"Values in videos{f', sheet {number}' if number > 1 else ''}",
        book.mark,
        tuple((guideline.title, guideline.text) for guideline in book.guidelines),
        questions_of(book),
        tuple(
            replace(material[line.item], round=line.round)
            for line in sorted(lines, key=lambda line: line.place)
        ),
    )


def write_sheet_files(folder: CodingFolder) -> list[Path]:
    """Write those sheets of who still codes that are not there, and the guide; returns the new sheets.

    A sheet that is there is never written again: somebody may be coding in it. One that was deleted is made anew.
    """
    active = folder.protocol.active
    sheets = {(line.coder, line.sheet) for line in folder.plan()}
    made = []
    for coder, number in sorted(sheets):
        places = [folder.sheets / f"{sheet_stem(coder, number)}{suffix}" for suffix in _WRITERS]
        missing = [place for place in places if not place.exists()]
        if coder not in active or not missing:
            continue
        sheet = sheet_of(folder, coder, number)
        for place in missing:
            write_bytes(str(place), _WRITERS[place.suffix](sheet))
            made.append(place)
    write_bytes(str(folder.sheets / GUIDE), _GUIDE.encode())
    return made


def write_zips(folder: CodingFolder) -> list[Path]:
    """A zip for every sheet of who still codes, with its videos and the guide, to be given to the coder whole."""
    made = []
    for coder, number in sorted({(line.coder, line.sheet) for line in folder.plan()}):
        if coder not in folder.protocol.active:
            continue
        stem = sheet_stem(coder, number)
        names = {name for item in sheet_of(folder, coder, number).items for name in item.files}
        media = sorted((folder.sheets / name).resolve() for name in names)
        if outside := [path for path in media if not path.is_relative_to(folder.path.resolve())]:
            raise UserError(
                f"--zip: {outside[0].name} lies outside {folder.path}; a zip holds what --media copy has made"
            )
        parts = [folder.sheets.resolve() / name for name in (f"{stem}.html", f"{stem}.xlsx", GUIDE)]
        made.append(folder.path / "zips" / f"{stem}.zip")
        write_zip(made[-1], folder.path.resolve(), [*parts, *media])
    return made


_GUIDE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>For coders</title>
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 1.5rem auto; padding: 0 1rem }
li { margin: .6rem 0 }
kbd { border: 1px solid; border-radius: .25rem; padding: 0 .3rem; font-size: .9em }
</style>
<h1>For coders</h1>
<ol>
<li><b>Open.</b> Unpack everything into one folder. Open the sheet with your name, the file that ends in .html, by a
double-click: a current Chrome, Edge or Firefox shows it. It needs no internet. If you were told to use a spreadsheet,
open the .xlsx file instead; its page “read me” has the rules.</li>
<li><b>Practise.</b> The first videos may be marked as practice: you see the right answers after your own. They do not
count.</li>
<li><b>Watch.</b> Watch each video to its end, with sound (<kbd>Space</kbd> plays and pauses). Read the caption; unfold
the script where you did not understand what is said. If a video does not play, write that into the note on the item
(<kbd>N</kbd>), answer nothing and go on.</li>
<li><b>Answer.</b> Answer every question by what the video shows, not by what you think of it. The digits choose an
answer, <kbd>?</kbd> is “not sure”. <kbd>↑</kbd> <kbd>↓</kbd> go to other questions, <kbd>←</kbd> <kbd>→</kbd> to other
videos. <kbd>a</kbd> answers all open questions with “absent”, <kbd>e</kbd> shows definition and examples, <kbd>n</kbd>
takes a note, <kbd>h</kbd> lists all keys.</li>
<li><b>Alone.</b> Do not talk about the videos with other coders before everybody has handed in. “Not sure” is an answer
and never counts as absent. Some videos come twice: answer as you see them now.</li>
<li><b>Save.</b> Press <kbd>s</kbd> at the end of every session: a table, labels_YOURNAME.csv, goes to your downloads.
The browser keeps your answers as well, but only this browser on this computer. “Load…” brings a saved table back,
anywhere.</li>
<li><b>Hand in.</b> Send back the table that you saved last, or the .xlsx file, and nothing else. Pass no video on.</li>
</ol>
</html>
"""
