"""Which videos are withheld from models that are not our own: those of accounts that feature a minor, or may."""

from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from tikval.config import Api, Endpoint, Gemini, UserError, Vllm
from tikval.sources.accounts import unmatched_minors
from tikval.store.folder import Folder
from tikval.store.row_keys import KEY, contains, keys_of


class Withheld(NamedTuple):
    """Row keys of videos that are sent to no one, S16 sorted."""

    minors: np.ndarray
    unknown: np.ndarray

    def reason(self, row_key: str) -> str | None:
        """Why a video is not sent; None: it may be."""
        key = np.array([bytes.fromhex(row_key)], "S16")
        if contains(self.minors, key)[0]:
            return "the account features a minor; api.send_minors=true sends it"
        if contains(self.unknown, key)[0]:
            return "nothing says whether the account is a minor's; api.minors_unknown=send sends it"
        return None


def is_outside(llm: Gemini | Vllm | Endpoint) -> bool:
    """Whether videos and scripts leave the house for this model."""
    return not isinstance(llm, Vllm)


def withheld_videos(catalog: Folder, llm: Gemini | Vllm | Endpoint, api: Api) -> Withheld:
    """Read what may not be sent. Where the model is our own, or `send_minors` is on, everything may."""
    none = np.empty(0, "S16")
    if not is_outside(llm) or api.send_minors:
        return Withheld(none, none)
    minors, unknown = keys_of_minors(catalog)
    return Withheld(minors, none if api.minors_unknown == "send" else unknown)


def check_minors(catalog: Folder, llm: Gemini | Vllm | Endpoint, api: Api, todo: np.ndarray) -> None:
    """Before the first call: raises UserError where it is not settled whether somebody in it is a minor.

    `todo`: row keys of the videos that would be sent, S16 sorted; what is done needs no answer.
    """
    if not is_outside(llm) or api.send_minors:
        return
    minors, unknown = keys_of_minors(catalog)
    n_unknown = int(contains(todo, unknown).sum())
    if n_unknown and api.minors_unknown is None:
        raise UserError(
            f"{llm.model} is an outside model, and of {n_unknown} videos nothing says whether a minor features in "
            "them: name a table of accounts with `is_minor`, or set api.minors_unknown=withhold or =send "
            "(tikval analyze --minors-unknown withhold)"
        )
    if contains(minors, todo).all():
        return
    accounts = catalog.read_side_table("accounts")
    missing = unmatched_minors(catalog.distinct("account"), accounts)
    if missing and api.minors_unmatched == "stop":
        raise UserError(
            f"{len(missing)} accounts that are marked as a minor's match no video, and {llm.model} is an outside "
            "model: are they spelt as in the manifest? If they are and have no video here, set "
            "api.minors_unmatched=go_on"
        )


def keys_of_minors(catalog: Folder) -> tuple[np.ndarray, np.ndarray]:
    """Row keys of videos of minors, and of those of whom nothing is known: S16 sorted, of files that can be sent."""
    minors, unknown = [np.empty(0, KEY)], [np.empty(0, KEY)]
    for table in catalog.tables(["row_key", "is_minor", "error"]):
        table = table.filter(table["error"].is_null())
        minors.append(keys_of(table.filter(pc.fill_null(table["is_minor"], False))["row_key"]))
        unknown.append(keys_of(table.filter(table["is_minor"].is_null())["row_key"]))
    return np.sort(np.concatenate(minors)), np.sort(np.concatenate(unknown))
