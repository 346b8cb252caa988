"""A job's configuration as its study has it: one that was begun before goes on with the recipe it was begun with."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from tikval.config import ExtractConfig, JobConfig, LlmExtractor, LlmWriter, ScriptConfig, load_config, nested
from tikval.files import has_folder
from tikval.terminal import note_once

J = TypeVar("J", bound=JobConfig)
Override = str | tuple[str, Any]


def load_job(kind: type[J], path: str, overrides: Sequence[Override]) -> J:
    """`load_config`, for whoever reads or writes the folders of a study.

    Our configurations once had the codebook in the user's turn. Where the folder of a recipe with `instruction: system`
    is not there, and that of the same recipe with `user` is, the study goes on with the latter and pays nothing again,
    unless an override asks for one of them by name. Raises what `load_config` raises.
    """
    sets = list(overrides)
    while True:
        config = load_config(kind, path, sets)
        older = next(_begun_before(config, {_key(override) for override in sets}), None)
        if older is None:
            return config
        sets += older


def _begun_before(config: JobConfig, given: set[str]) -> Iterator[list[Override]]:
    """Overrides that name the recipe with which a stage was begun; `given`: keys that are settled."""
    for place, job in nested(config, trained=True):
        if not isinstance(job, ScriptConfig | ExtractConfig):
            continue
        name = "writer" if isinstance(job, ScriptConfig) else "extractor"
        part = getattr(job, name)
        at = f"{place}.{name}" if place else name
        if not isinstance(part, LlmWriter | LlmExtractor) or part.instruction == "user":
            continue
        before = {"instruction": "user", "material": None}
        older = job.model_copy(update={name: part.model_copy(update=before)})
        if f"{at}.instruction" not in given and not _is_there(job.folder) and _is_there(older.folder):
            message = "goes on with its recipe of before: the codebook in the user's turn"
            note_once(f"{older.folder} {message}; {at}.instruction=system begins anew")
            yield [(f"{at}.{key}", value) for key, value in before.items()]


def _key(override: Override) -> str:
    return override.partition("=")[0] if isinstance(override, str) else override[0]


def _is_there(folder: str) -> bool:
    try:
        return has_folder(folder)
    except OSError:  # the first stage that wants to write there says what is wrong
        return False
