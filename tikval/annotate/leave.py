"""A coder who leaves: what came back stays, and others take over what is not finished."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tikval.annotate.assignment import coding_order, hand_over
from tikval.annotate.coding_folder import CodingFolder
from tikval.annotate.coding_plan import sheet_lines
from tikval.annotate.coding_protocol import check_coder_names, coder_since, utc_now
from tikval.annotate.read_codings import gather_codings
from tikval.config import UserError
from tikval.privacy import canonical_account
from tikval.sources.tables import Say, print_note


@dataclass(frozen=True)
class Leaving:
    """What became of a coder's videos."""

    finished: int  # that stay with the coder
    taken: dict[str, str]  # who has each of the others from now on
    not_taken: int  # that have coders enough without this one


def leave_folder(folder: CodingFolder, name: str, to: Sequence[str] = (), say: Say = print_note) -> Leaving:
    """Let a coder leave, and give the videos that are not finished to `to`, new coders among them, else to all others.

    A video is finished where a returned table answers every question of it. What the coder was to code a second time,
    or to practise, and has not, is dropped. Raises UserError where nobody has left to give a video to, and then
    nothing is changed.
    """
    protocol = folder.protocol
    if name not in protocol.active:
        left = {coder.name: coder.left for coder in protocol.coders}.get(name)
        raise UserError(
            f"{name}: has left on {left[:10]}"
            if left
            else f"{name}: no such coder; there are {', '.join(protocol.active)}"
        )
    others = [coder for coder in protocol.active if coder != name]
    receivers = list(dict.fromkeys(to)) or others
    check_coder_names([*(coder.name for coder in protocol.coders), *_new(folder, receivers)], protocol.third)
    if gone := {*receivers} & {coder.name for coder in protocol.coders if coder.name not in others}:
        raise UserError(f"--to {min(gone)}: has left, or is about to; name others")
    done = _finished(folder, name, say)
    plan = folder.plan()
    kept = [line for line in plan if line.coder != name or (line.item, line.round) in done]
    mine = [line for line in plan if line.coder == name and line.round == "main"]
    open_items = {line.item: line for line in mine if (line.item, line.round) not in done}
    who: dict[str, set[str]] = {item: set() for item in open_items}
    for line in kept:
        if line.round == "main" and line.item in who:
            who[line.item].add(line.coder)
    load = Counter(line.coder for line in kept if line.round == "main")
    seed = protocol.rules.seed
    taken = hand_over(who, receivers, load, seed=seed)
    _refuse_too_few(folder, who, taken)
    lines = []
    drawn = {item: (line.probability, line.stratum) for item, line in open_items.items()}
    for receiver in receivers:
        order = coding_order([item for item, one in taken.items() if one == receiver], receiver, seed=seed)
        if order:
            lines += sheet_lines(receiver, order, drawn, kept, list(folder.practice()), seed)
    folder.write_plan([*kept, *lines])
    stays = [
        coder if coder.name != name else coder.model_copy(update={"left": utc_now()})
        for coder in protocol.coders
    ]
    coders = (*stays, *map(coder_since, _new(folder, receivers)))
    folder.write_protocol(protocol.model_copy(update={"coders": coders}))
    return Leaving(len(mine) - len(open_items), taken, len(who) - len(taken))


def _new(folder: CodingFolder, names: Sequence[str]) -> list[str]:
    known = {coder.name for coder in folder.protocol.coders}
    return [name for name in names if name not in known]


def _finished(folder: CodingFolder, name: str, say: Say) -> set[tuple[str, str]]:
    """Items and rounds of which the coder's returned tables answer every question."""
    codings, _ = gather_codings(folder.returned(), folder.codebook(), say)
    mine = [coding for coding in codings if canonical_account(coding.coder) == canonical_account(name)]
    if not mine:
        say(f"no table in {folder.path / 'returned'} has answers of {name}: others get all of it")
    slugs = folder.codebook().slugs
    return {(coding.item, coding.round) for coding in mine if all(slug in coding.answers for slug in slugs)}


def _refuse_too_few(folder: CodingFolder, who: dict[str, set[str]], taken: dict[str, str]) -> None:
    """Raise UserError where a video that nobody takes over would have fewer coders than its list was to have."""
    least = min(batch.rules.coders_per_video for batch in folder.protocol.batches)
    short = [item for item in who if item not in taken and len(who[item]) < least]
    if short:
        raise UserError(
            f"{len(short)} videos, such as {short[0]}, are with each of those coders already, and need one more: name "
            "somebody else as well, such as a new coder, with --to"
        )
