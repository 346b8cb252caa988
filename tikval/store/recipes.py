"""A job's configuration as its study has it: one that was begun before goes on with the recipe it was begun with."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from tikval.config import (
    AskingPart,
    ExtractConfig,
    JobConfig,
    LocalExtractor,
    LocalWriter,
    ScriptConfig,
    TuneConfig,
    load_config,
    nested,
    validate,
)
from tikval.files import has_folder
from tikval.terminal import note_once

J = TypeVar("J", bound=JobConfig)
Override = str | tuple[str, Any]


def load_job(kind: type[J], path: str, overrides: Sequence[Override]) -> J:
    """`load_config`, for whoever reads or writes the folders of a study.

    Our configurations once had the codebook in the user's turn, local scripts of English speech and of text at equal
    times, and a local extractor without gate and appeals. Where the folder of the recipe of today is not there, and
    that of such a recipe is, the study goes on with the latter and pays nothing again, unless an override asks for one
    of them by name. Raises what `load_config` raises.
    """
    sets = list(overrides)
    while True:
        config = load_config(kind, path, sets)
        older = next(_begun_before(config, {_key(override) for override in sets}), None)
        if older is None:
            return config
        sets += older


# the key of a stage whose recipe was once another
_PART: Final[dict[type[JobConfig], str]] = {
    ScriptConfig: "writer",
    ExtractConfig: "extractor",
    TuneConfig: "base",
}


class _Before(NamedTuple):
    """How a part of a recipe was once."""

    changes: dict[str, Any]
    about: str  # in words
    now: str  # key=value of an override that asks for the recipe of today


def _begun_before(config: JobConfig, given: set[str]) -> Iterator[list[Override]]:
    """Overrides that name the recipe with which a stage was begun; `given`: keys that are settled."""
    for place, job in nested(config, trained=True):
        name = _PART.get(type(job))
        if name is None:
            continue
        part = getattr(job, name)
        at = f"{place}.{name}" if place else name
        before = _before(part, {key.removeprefix(f"{at}.") for key in given})
        if before is None:
            continue
        changed = validate(type(part), part.model_dump() | before.changes, at)
        older = job.model_copy(update={name: changed})
        if not _is_there(job.folder) and _is_there(older.folder):
            note_once(
                f"{older.folder} goes on with its recipe of before: {before.about}; {at}.{before.now} begins anew"
            )
            yield [(f"{at}.{key}", value) for key, value in before.changes.items()]


def _before(part: Any, given: set[str]) -> _Before | None:
    """How our configurations once had what is not `given` of a part that is as they have it today."""
    changes: dict[str, Any] = {}
    if isinstance(part, AskingPart) and part.instruction == "system" and "instruction" not in given:
        changes = {"instruction": "user", "material": None}
        return _Before(changes, "the codebook in the user's turn", "instruction=system")
    if isinstance(part, LocalExtractor):
        return _first_recipe(part, given)
    if not isinstance(part, LocalWriter):
        return None
    if part.speech.engine == "every_language" and not given & {"speech", "speech.engine"}:
        changes["speech"] = {"engine": "moonshine"}
    if part.ocr.when == "changes" and not given & {"ocr", "ocr.when"}:
        languages = "eng" if part.ocr.languages == "installed" else part.ocr.languages
        changes["ocr"] = {"frames": part.ocr.frames, "when": "even", "languages": languages}
    return (
        _Before(changes, "English speech, and text at equal times", "ocr.when=changes") if changes else None
    )


def _first_recipe(part: LocalExtractor, given: set[str]) -> _Before | None:
    if part.recipe == 1 or given & {"recipe", "gate", "appeals"}:
        return None
    before, today = LocalExtractor(recipe=1).model_dump(), LocalExtractor().model_dump()
    changes = {
        key: value
        for key, value in before.items()
        if value != today[key] and getattr(part, key) == today[key] and key not in given
    }
    return _Before(changes, "values without gate and appeals", "recipe=2")


def _key(override: Override) -> str:
    return override.partition("=")[0] if isinstance(override, str) else override[0]


def _is_there(folder: str) -> bool:
    try:
        return has_folder(folder)
    except OSError:  # the first stage that wants to write there says what is wrong
        return False
