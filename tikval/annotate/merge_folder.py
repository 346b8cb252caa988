"""A coding folder, or tables from elsewhere, merged: what came back is read, merged/ and the third's sheet written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tikval.annotate.coding_agreement import (
    CodingAgreement,
    agreement_of_codings,
    write_coding_agreement,
)
from tikval.annotate.coding_folder import CodingFolder, PlanLine
from tikval.annotate.coding_protocol import check_coder_names
from tikval.annotate.corrections import HISTORY, read_corrections
from tikval.annotate.disagreement_page import disagreement_page
from tikval.annotate.disagreements import disagreements_by_value
from tikval.annotate.merge import (
    MergedItem,
    SortedCodings,
    merge_items,
    not_in_dispute,
    plan_of_codings,
    sort_codings,
    with_corrections,
)
from tikval.annotate.merged_tables import coders_csv, disputed_cells_csv, labels_csv, origins_csv
from tikval.annotate.read_codings import gather_codings
from tikval.annotate.sheet import SheetItem
from tikval.annotate.third import third_sheet, write_third_sheet
from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.files import write_bytes
from tikval.sources.ids import name_by_key
from tikval.sources.tables import Say
from tikval.store.runs import Study

MERGED: Final = "merged"


@dataclass(frozen=True)
class CodingSource:
    """What is merged, by whom and where to."""

    plan: Sequence[PlanLine]
    found: SortedCodings
    codebook: Codebook
    slugs: Sequence[str]  # the values that were to be coded
    third: str
    to: Path  # the folder of the tables
    sheets: Path  # of the third's sheet
    material: Mapping[str, SheetItem]
    gold: Mapping[str, Mapping[str, str]]  # right answers of practice items
    accounts: Mapping[str, str]
    seed: int = 0


@dataclass(frozen=True)
class MergeOutcome:
    merged: list[MergedItem]
    disputed: list[MergedItem]  # that the third is asked about
    agreement: list[CodingAgreement]
    third_files: list[Path]  # that are new


def open_coding(
    path: Path,
    files: Sequence[Path],
    third: str | None,
    say: Say,
    annotators: Mapping[str, str] | None = None,
) -> CodingSource:
    """A coding folder with what was returned, and further files. `third`: their name from now on.

    Raises UserError where nothing came back, and as the folder and the readers of tables do.
    """
    folder = CodingFolder(path)
    if third and third != folder.protocol.third:
        check_coder_names([coder.name for coder in folder.protocol.coders], third)
        folder.write_protocol(folder.protocol.model_copy(update={"third": third}))
    codebook, plan, practice = folder.codebook(), folder.plan(), folder.practice()
    codings, accounts = gather_codings([*folder.returned(), *files], codebook, say, annotators)
    if not codings:
        raise UserError(
            f"{path / 'returned'}: nothing is there yet; put the tables that coders saved into it"
        )
    items = sorted({line.item for line in plan if line.round != "practice"})
    left = [coder.name for coder in folder.protocol.coders if coder.left]
    found = sort_codings(codings, plan, folder.protocol.third, left)
    if found.handed_over:
        say(f"of coders who have left, {found.handed_over} videos are not used: others code them now")
    return CodingSource(
        plan=plan,
        found=found,
        codebook=codebook,
        slugs=codebook.slugs,
        third=folder.protocol.third,
        to=path / MERGED,
        sheets=folder.sheets,
        material=folder.items(),
        gold={name: item.gold.answers for name, item in practice.items() if item.gold},
        accounts=accounts | _accounts_of(folder.study, items, say),
        seed=folder.protocol.rules.seed,
    )


def open_tables(
    files: Sequence[Path],
    to: Path,
    codebook: Codebook,
    third: str | None,
    say: Say,
    annotators: Mapping[str, str] | None = None,
) -> CodingSource:
    """Tables that came from elsewhere: who answered an item was to code it, on the values that anybody answered."""
    codings, accounts = gather_codings(files, codebook, say, annotators)
    judge = third or "third"
    plan = plan_of_codings(codings, judge)
    found = sort_codings(codings, plan, judge)
    slugs = [slug for slug in codebook.slugs if any(slug in one.answers for one in codings)]
    return CodingSource(plan, found, codebook, slugs, judge, to, to, {}, {}, accounts)


def _accounts_of(study: str | None, items: Sequence[str], say: Say) -> dict[str, str]:
    """The accounts of a study's videos, over which intervals run."""
    if study is None:
        return {}
    try:
        listed = Study(study).catalog().read(["video_id", "row_key", "account"])
    except UserError as err:
        say(f"{err}; so intervals take each video as an account of its own")
        return {}
    shown = pc.binary_join_element_wise(
        name_by_key(""), pc.utf8_slice_codeunits(listed["row_key"], 0, 12), ""
    )
    wanted = pa.array(items, pa.string())
    found: dict[str, str] = {}
    for names in (shown, listed["video_id"]):
        here = pc.is_in(names, wanted)
        pairs = zip(names.filter(here).to_pylist(), listed["account"].filter(here).to_pylist(), strict=True)
        found |= {item: account for item, account in pairs if account}
    return found


def merge_codings(source: CodingSource, say: Say, *, unfinished: bool = False) -> MergeOutcome:
    """Merge, and write the tables, the page and the third's sheet.

    Items that a coder has not begun wait for that coder, unless the third is to be asked of `unfinished` ones too.
    """
    book, found = source.codebook, source.found
    merged = merge_items(source.plan, found, source.slugs, source.seed)
    disputed = [one for one in merged if one.disputed and (unfinished or not one.not_begun)]
    agreement = agreement_of_codings(found, source.gold, source.accounts, book)
    by_value = disagreements_by_value(merged, disputed, source.material, book)
    n_coded = sum(not one.not_begun for one in merged)
    # what the coders disputed stays in dispute; the tables have what was corrected since
    settled = with_corrections(merged, read_corrections(str(source.to / HISTORY)))
    named = {one.item for one in merged} & source.accounts.keys() if not source.material else set()
    files = {
        "labels.csv": labels_csv(settled, source.slugs, {item: source.accounts[item] for item in named}),
        "origins.csv": origins_csv(settled),
        "coders.csv": coders_csv(found, book.slugs),
        "disagreements.csv": disputed_cells_csv(disputed),
    }
    try:
        for name, text in files.items():
            write_bytes(str(source.to / name), text.encode())
        write_coding_agreement(agreement, source.to / "agreement.csv")
        page = disagreement_page(by_value, agreement, n_coded, book)
        write_bytes(str(source.to / "disagreements.html"), page)
        written = _ask_the_third(source, disputed, say)
    except OSError as err:
        raise UserError(f"{source.to}: cannot be written ({err.strerror})") from err
    if ignored := not_in_dispute(merged):
        say(f"{source.third}'s answers on {ignored} cells that nobody disputes are not used")
    return MergeOutcome(settled, disputed, agreement, written)


def _ask_the_third(source: CodingSource, disputed: Sequence[MergedItem], say: Say) -> list[Path]:
    if not disputed:
        return []
    sheet = third_sheet(disputed, source.material, source.codebook, source.third, source.seed)
    return write_third_sheet(sheet, source.sheets, source.to, say)
