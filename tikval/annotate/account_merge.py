"""What coders answered about accounts -> one table of accounts, with where each answer came from.

Where the coders differ, or one is not sure, the third decides. Of a minor nothing is left to chance: as long as nobody
has decided that none features in an account, it counts as a minor's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tikval.annotate.account_folder import AccountFolder
from tikval.annotate.account_questions import GENRE, YES, account_questions
from tikval.annotate.coding import Coding
from tikval.annotate.sheet import Others, SheetItem, SheetQuestion
from tikval.annotate.sheets.filled_workbook import read_filled
from tikval.config import UserError
from tikval.evaluate.faithfulness_sample import in_random_order
from tikval.privacy import canonical_account
from tikval.spreadsheet import csv_of
from tikval.stats.agreement import MISSING, AgreementLine, agreement_of
from tikval.values import NOT_SURE

_CAUTIOUS: Final = "is_minor"
AGREED, THIRD, OPEN = "agreed", "third", "disagreement"
_HEADER: Final = ("account", GENRE, "source", "is_minor", "is_parent_run", "aimed_at_young", "origins")


class AccountDecision(NamedTuple):
    """The answer to one question about one account."""

    account: str
    question: str
    answers: dict[str, str | None]  # by coder; None: not answered
    answer: str | None  # that counts; None: nobody decided
    how: str  # AGREED, THIRD, OPEN, or who or what is waited for

    @property
    def is_for_the_third(self) -> bool:
        return self.answer is None and self.how == OPEN

    @property
    def shown(self) -> str:
        """The answer as the table has it: not knowing whether a minor features counts as yes."""
        return self.answer or (YES if self.question == _CAUTIOUS else "")

    @property
    def origin(self) -> str:
        so = ", so yes" if self.answer is None and self.question == _CAUTIOUS else ""
        return f"{self.question}: {self.how}{so}"


Answered = dict[tuple[str, str], Coding]  # by coder and account, as it is spelt in the folder


def account_answers(folder: AccountFolder, files: Iterable[Path]) -> Answered:
    """What came back, of the coders and the third; of two files by one coder what both answer must be the same.

    Raises UserError for another coder, an account that is not listed, another list of genres, and as `read_filled`.
    """
    protocol, questions = folder.protocol, account_questions(folder.genres)
    spelt = {canonical_account(one.account): one.account for one in protocol.accounts}
    known = (*protocol.coders, protocol.third)
    found: Answered = {}
    for path in files:
        for n, one in enumerate(read_filled(path, questions, "account"), start=1):
            where = f"{path}: entry {n}"  # no name: what is printed is read by others, too
            account = spelt.get(canonical_account(one.item))
            if account is None:
                raise UserError(f"{where}: the account is none of this folder's list")
            if one.coder not in known:
                raise UserError(f"{where}: coder {one.coder[:40]!r} is none of {', '.join(known)}")
            if one.codebook and one.codebook != protocol.genres:
                raise UserError(f"{where}: was coded by {one.codebook}, and this folder by {protocol.genres}")
            before = found.get((one.coder, account))
            found[one.coder, account] = _together(before, one, where) if before else one
    return found


def _together(before: Coding, one: Coding, where: str) -> Coding:
    for question in before.answers.keys() & one.answers.keys():
        if before.answers[question] != one.answers[question]:
            raise UserError(
                f"{where}: {one.coder} answers {one.answers[question]} to {question}, and {before.answers[question]} "
                "about the same account in another file; leave the one that counts"
            )
    notes = "\n".join(dict.fromkeys(filter(None, (before.note, one.note))))
    about = {**before.value_notes, **one.value_notes}
    return replace(one, answers={**before.answers, **one.answers}, note=notes, value_notes=about)


def decide_accounts(folder: AccountFolder, found: Answered) -> list[AccountDecision]:
    """Each question about each account, in their order."""
    questions = [question.slug for question in account_questions(folder.genres)]
    return [
        _decision(folder, found, one.account, question)
        for one in folder.protocol.accounts
        for question in questions
    ]


def _decision(folder: AccountFolder, found: Answered, account: str, question: str) -> AccountDecision:
    def by(coder: str) -> str | None:
        coding = found.get((coder, account))
        return coding.answers.get(question) if coding else None

    answers = {coder: by(coder) for coder in folder.protocol.coders}
    waiting, decided = (
        [coder for coder, answer in answers.items() if answer is None],
        by(folder.protocol.third),
    )
    if waiting:
        return AccountDecision(account, question, answers, None, f"not answered by {', '.join(waiting)}")
    different = set(answers.values())
    if len(different) == 1 and NOT_SURE not in different:
        return AccountDecision(account, question, answers, different.pop(), AGREED)
    if decided and decided != NOT_SURE:
        return AccountDecision(account, question, answers, decided, THIRD)
    return AccountDecision(account, question, answers, None, "the third is not sure" if decided else OPEN)


def account_agreement(
    decisions: Sequence[AccountDecision], questions: Sequence[SheetQuestion]
) -> dict[str, AgreementLine]:
    """Agreement of the coders before anything was decided, by question; an account is a cluster of its own."""
    lines = {}
    for question in questions:
        code = {option.word: at for at, option in enumerate(question.options)}
        rows = [list(one.answers.values()) for one in decisions if one.question == question.slug]
        codes_NR = np.array([[code.get(answer or "", MISSING) for answer in row] for row in rows], np.int8)
        every = np.ones((1, 1), dtype=bool)
        clusters_N = np.arange(len(rows))
        [lines[question.slug]] = agreement_of(
            codes_NR.T[:, :, None], len(code), len(code) - 1, every, clusters_N
        )
    return lines


def third_items(
    folder: AccountFolder, decisions: Sequence[AccountDecision], found: Answered
) -> list[SheetItem]:
    """The accounts that the third is asked about, with what each coder answered; names are hidden, in turns."""
    asked: dict[str, list[str]] = {}
    for one in decisions:
        if one.is_for_the_third:
            asked.setdefault(one.account, []).append(one.question)
    items, made = folder.items(), []
    for account, questions in asked.items():
        coders = sorted(folder.protocol.coders, key=lambda coder: in_random_order(account, coder))
        others = tuple(
            Others(
                f"Coder {chr(ord('A') + n)}",
                dict(found[coder, account].answers),
                found[coder, account].note,
                dict(found[coder, account].value_notes),
            )
            for n, coder in enumerate(coders)
        )
        made.append(replace(items[account], others=others, asked=tuple(questions)))
    return made


def accounts_csv(folder: AccountFolder, decisions: Sequence[AccountDecision]) -> str:
    """The table that `tikval analyze --accounts` takes, with the origin of each answer in a column of its own."""
    of_account: dict[str, dict[str, AccountDecision]] = {}
    for one in decisions:
        of_account.setdefault(one.account, {})[one.question] = one
    lines: list[Sequence[object]] = [_HEADER]
    for listed in folder.protocol.accounts:
        decided = of_account[listed.account]
        told: Mapping[str, str] = {question: one.shown for question, one in decided.items()}
        about = {"account": listed.account, "source": listed.source or ""}
        origins = "; ".join(one.origin for one in decided.values())
        lines.append([({**about, **told, "origins": origins})[name] for name in _HEADER])
    return csv_of(lines)


def account_disagreements_csv(
    folder: AccountFolder, decisions: Sequence[AccountDecision], found: Answered
) -> str:
    """A line for each question that the coders did not agree on, with what each answered and noted."""
    coders = folder.protocol.coders
    header = ["account", "question", *coders, *(f"{coder}: note" for coder in coders), "answer", "how"]
    lines: list[Sequence[object]] = [header]
    for one in decisions:
        if one.how == AGREED:
            continue
        codings = [found.get((coder, one.account)) for coder in coders]
        notes = [
            "; ".join(filter(None, (c.note, c.value_notes.get(one.question, "")))) if c else ""
            for c in codings
        ]
        given = [answer or "" for answer in one.answers.values()]
        lines.append([one.account, one.question, *given, *notes, one.shown, one.how])
    return csv_of(lines)


def agreement_csv(lines: Mapping[str, AgreementLine]) -> str:
    """A line a question: accounts that two answered, the share that got the same, AC1 with its interval."""
    rows: list[Sequence[object]] = [
        ("question", "accounts", "same", "ac1", "ac1_low", "ac1_high", "no_interval")
    ]
    for question, line in lines.items():
        ac1 = line.coefficients["ac1"]
        numbers = (line.coefficients["observed"].value, ac1.value, ac1.low, ac1.high)
        cells = ["" if np.isnan(number) else number for number in numbers]
        rows.append([question, line.cells, *cells, ac1.why_none or ""])
    return csv_of(rows)
