"""What lies on a provider's server: whose it is, and whether a run or a batch job needs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tikval.config import UserError
from tikval.evaluate.development import trial_folders
from tikval.llm.gemini_remote import RemoteObject, delete_remote, list_ours
from tikval.llm.uploads import Uploads, is_needed
from tikval.store.lock import is_locked
from tikval.store.runs import stage_folders
from tikval.store.shards import shard_outs

if TYPE_CHECKING:
    from google import genai


@dataclass(frozen=True)
class RemoteLine:
    """One thing on the server."""

    found: RemoteObject
    study: str | None  # of those that were named
    made: datetime | None
    needed: str | None  # by what it is needed, or may be; None: by nothing that is known


class _NamedStudy:
    """What one study knows of the server."""

    def __init__(self, out: str) -> None:
        folders = stage_folders(out)
        if not folders:
            raise UserError(f"{out}: no study of tikval lies here")
        self.uploads = Uploads(out)
        self.noted = {upload.name: upload for upload in self.uploads.records()}
        self.jobs = self.uploads.batch_jobs()
        self.at_work = any(map(is_locked, folders))

    def needs(self, found: RemoteObject) -> bool:
        return is_needed(found.name, self.jobs) or is_needed(found.label, self.jobs)

    def has(self, found: RemoteObject) -> bool:
        return found.name in self.noted or self.needs(found)


def remote_lines(client: "genai.Client", outs: Sequence[str]) -> list[RemoteLine]:
    """Everything of ours on the server. Raises UserError where it cannot be listed, and for a folder without a study.

    Of a study that is not named nothing is known: its batch jobs, and as long as one may run, all files that no named
    study has, are taken to be needed.
    """
    studies = [
        _NamedStudy(place) for out in outs for place in (out, *trial_folders(out), *_begun_shards(out))
    ]
    there = list(list_ours(client))
    strange = [each for each in there if each.may_have_results and not any(s.needs(each) for s in studies)]
    return [_line(found, studies, bool(strange)) for found in there]


def _begun_shards(out: str) -> list[str]:
    """Folders of a study's shards that have a stage: one whose driver has only started has sent nothing."""
    return [place for place in shard_outs(out) if stage_folders(place)]


def _line(found: RemoteObject, studies: Sequence[_NamedStudy], strange_jobs: bool) -> RemoteLine:
    study = next((study for study in studies if study.has(found)), None)
    needed = None
    if study and study.needs(found):
        needed = "by a batch job"
    elif found.may_have_results:
        needed = "it runs, or its replies may not be read yet"
    elif any(each.at_work for each in ([study] if study else studies if found.kind == "cache" else [])):
        needed = "by a run"
    elif found.kind == "file" and study is None and strange_jobs:
        needed = "maybe by a batch job whose study was not named"
    noted = study.noted.get(found.name) if study else None
    made = found.made or (datetime.fromisoformat(noted.at) if noted else None)
    return RemoteLine(found, study.uploads.out if study else None, made, needed)


def delete_lines(client: "genai.Client", lines: Sequence[RemoteLine]) -> dict[str, str]:
    """Delete things, and take them off their studies' lists; returns why, for those that could not be deleted."""
    failed: dict[str, str] = {}
    lists = {line.study: Uploads(line.study) for line in lines if line.study}
    noted = {out: set(uploads.left()) for out, uploads in lists.items()}
    for line in lines:
        if why := delete_remote(client, line.found):
            failed[line.found.label] = why
        elif line.study and line.found.name in noted[line.study]:
            lists[line.study].forget(line.found.name)
    return failed
