"""One frozen configuration per job, closed and typed: a misspelt key is an error, never a default.

A configuration names the *configuration* upstream of it (`scripts: configs/demo/scripts.yaml`), so one file
holds the whole recipe of a result. `fingerprint` hashes that recipe: model, prompt, parameters and the recipe
before it, but not the inputs, pools, deadlines or budgets (`operational`). The output folder's name ends in it.
"""

import contextlib
import copy
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, cast

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)

from tikval.errors import UserError as UserError  # it is imported from here, too

SECRET: Final = re.compile(r"[?&][^=&]*(pass|pwd|token|secret|key|sig)[^=&]*=", re.IGNORECASE)  # in a query
CONTENT: Final = "content"  # marks a path whose file's content, not its name, belongs to the recipe
# Marks a field that an earlier version did not have. At its default it is not part of the recipe, so that studies
# which were finished before it came stay finished.
ADDED_LATER: Final = "added later"


_PACKAGE: Final = Path(__file__).parents[1]
_SHIPPED: Final = (_PACKAGE / "share", _PACKAGE.parent)  # of a wheel, of a checkout


def find_file(path: str) -> Path:
    """A prompt or configuration: below the working directory, else as shipped with tikval."""
    for folder in (Path(), *_SHIPPED):
        if (folder / path).is_file():
            return folder / path
    raise UserError(f"{path}: no such file (looked in {Path.cwd()} and in tikval itself)")


def shipped_folder(name: str) -> Path:
    """A folder that comes with tikval: in its wheel, else in the checkout. Raises UserError where neither has it."""
    for folder in _SHIPPED:
        if (folder / name).is_dir():
            return folder / name
    raise UserError(f"{name}: this installation of tikval comes without it; install it from its wheel")


class Config(BaseModel):
    # defaults are validated, so that a number given by a file and by default is one number in the fingerprint
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)

    # keys that an earlier version had, by the value with which they changed nothing: its finished studies are read
    gone: ClassVar[dict[str, Any]] = {}

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_gone(cls, data: Any) -> Any:
        if not cls.gone or not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if key not in cls.gone or value != cls.gone[key]}


class Pool(Config):
    """Actors of one stage, and how many rows each call gets. Never changes a result."""

    # how many, or [at least, at most]; None: one per core here, as many as there is room for on a cluster
    actors: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    cpus: float = Field(default=1, ge=0)  # logical, per actor
    gpus: float = Field(default=0, ge=0)  # per actor; fractions share a GPU
    batch_rows: PositiveInt | None = None  # rows per call; None: 1 to 4, so that every actor gets its share


class Limits(Config):
    """What a child process that reads a hostile file may use; past it the file fails and the job goes on.

    The first two defaults follow from benchmarks/limits.py (speech, text in 5 pictures, scene): ten minutes of
    720x1280 took 149 s on a busy machine (81 s of CPU) and 885 MB, 4K of ten seconds 546 MB. If both grow in step
    with the length, the longest video allowed needs 225 s and 1.2 GB; the rest is room for larger pictures.
    """

    seconds: float = Field(default=300, gt=0)  # wall clock per video
    memory_mb: int = Field(default=3072, ge=64)  # resident, of the child and its own children
    video_seconds: float = Field(default=900, gt=0)  # longer videos fail as too_long
    frame_pixels: int = Field(default=4096 * 4096, ge=1)  # larger pictures fail as too_large
    file_mb: int = Field(default=2048, ge=1)  # larger files fail as too_large
    # of the child by the kernel: auto takes what there is, required stops where files or sockets are not limited
    isolation: Annotated[
        Literal["auto", "required", "off"],
        BeforeValidator(lambda word: "off" if word is False else word),  # YAML reads off as a truth value
        ADDED_LATER,
    ] = "auto"


def plain_path(address: str) -> str:
    """A `file://` address as the path that it names, in which `%` stands for itself; any other address as it is.

    Raises ValueError where it names another machine, or no absolute path.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or scheme.lower() != "file":
        return address
    path = rest.removeprefix("localhost")
    if not path.startswith("/"):
        raise ValueError(f"{address}: write file:///absolute/path, or the path alone")
    return path


Place = Annotated[str, AfterValidator(plain_path)]  # a file or folder, here or on an object store


class JobConfig(Config):
    """What every job's configuration has. `stage` and `version` are part of the fingerprint."""

    stage: ClassVar[str]
    version: ClassVar[int] = 1  # raised by hand when the code of a stage changes its results
    operational: ClassVar[frozenset[str]] = frozenset({"out", "pool", "limits", "max_failed_share"})

    out: Place  # folder or object-store URI that holds one sub-folder per stage
    max_failed_share: float = Field(default=0.5, ge=0, le=1)  # more failures than this: exit code 1

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the recipe."""
        recipe = {"stage": self.stage, "version": self.version, **_recipe(self)}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        return f"{self.out.rstrip('/')}/{self.stage}-{self.fingerprint}"


def _recipe(config: BaseModel) -> dict[str, Any]:
    skip = config.operational if isinstance(config, JobConfig) else frozenset()
    return {
        name: _recipe_of(value, field.metadata)
        for name, field in type(config).model_fields.items()
        for value in (getattr(config, name),)
        if name not in skip and not (ADDED_LATER in field.metadata and value == field.get_default())
    }


def _recipe_of(value: Any, metadata: list[Any]) -> Any:
    if isinstance(value, JobConfig):
        return value.fingerprint
    if isinstance(value, BaseModel):
        return _recipe(value)
    if isinstance(value, tuple):
        return [_recipe_of(item, metadata) for item in value]
    if isinstance(value, dict):
        return {key: _recipe_of(item, metadata) for key, item in value.items()}
    if CONTENT in metadata and value is not None:
        return hashlib.sha256(find_file(value).read_bytes()).hexdigest()
    return value


def nested(config: JobConfig, at: str = "", *, trained: bool = False) -> list[tuple[str, JobConfig]]:
    """Every configuration within one, itself last and each after those it reads, by its key ("scores.predictions.0").

    `trained`: also what is below a key of that name, a finished system of another study, which this one only uses.
    """
    found: list[tuple[str, JobConfig]] = []
    for name in type(config).model_fields:
        value = getattr(config, name)
        items = list(enumerate(value)) if isinstance(value, tuple) else [(None, value)]
        for n, item in items:
            if isinstance(item, JobConfig) and (trained or name != "trained"):
                key = name if n is None else f"{name}.{n}"
                found += nested(item, f"{at}.{key}" if at else key, trained=trained)
    return [*found, (at, config)]


# systems that the job which names them runs itself, with the scripts that they read, over some of the videos
_OVER_SOME: Final = {"teacher", "strong"}


def steps_of(config: JobConfig) -> list[JobConfig]:
    """The stages before a configuration that run over all videos, in order and each once."""
    steps = {
        job.folder: job for place, job in nested(config) if place and not _OVER_SOME & set(place.split("."))
    }
    return list(steps.values())


TextFile = Annotated[str, CONTENT]


_MAX_NODES: Final = 100_000  # of a YAML file, each alias counted as what it stands for
_MAX_DEPTH: Final = 100  # that libyaml composes, which knows no limit but the machine's stack
_FAST: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The value of a YAML text. Raises ValueError in one line, at once also where aliases would make it grow."""
    try:
        return copy.deepcopy(_parsed_yaml(text, cast(Any, loader)))
    except RecursionError as err:
        raise ValueError("not YAML: nested too deeply") from err


# a command reads the same codebook and configurations many times
@functools.lru_cache(maxsize=32)
def _parsed_yaml(text: str, loader: type[yaml.SafeLoader]) -> Any:
    with contextlib.suppress(yaml.YAMLError, ValueError, OverflowError, TypeError):
        return _constructed(_composed_fast(text), loader)
    try:  # once more, as the parser in Python says best what is wrong, and where
        return _constructed(yaml.compose(text, yaml.SafeLoader), loader)
    except yaml.YAMLError as err:
        raise ValueError(f"not YAML: {' '.join(str(err).split())}") from err
    except (ValueError, OverflowError, TypeError) as err:  # a date or number that is none
        raise ValueError(f"not YAML: {' '.join(str(err).split())[:200]}") from err


def _composed_fast(text: str) -> yaml.Node | None:
    """The nodes of a text by libyaml, ten times as fast. Raises ValueError where they are so deep that it may crash."""
    depth = 0
    for event in yaml.parse(text, _FAST):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
    root: yaml.Node | None = yaml.compose(text, _FAST)
    return root


def _constructed(root: yaml.Node | None, loader: type[yaml.SafeLoader]) -> Any:
    if root is None:
        return None
    _count_nodes(root, {})
    reader = loader("")
    try:
        return reader.construct_document(root)
    finally:
        reader.dispose()


def _count_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    if id(node) not in known:
        known[id(node)] = _MAX_NODES + 1  # until it is counted: an alias within what it stands for
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        known[id(node)] = 1 + sum(_count_nodes(part, known) for part in parts)
    if known[id(node)] > _MAX_NODES:
        raise ValueError(f"larger than {_MAX_NODES:,} values, with what its aliases stand for")
    return known[id(node)]


def read_yaml(path: str) -> dict[str, Any]:
    file = find_file(path)
    try:
        data = parse_yaml(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: not UTF-8 text (byte {err.start})") from err
    except ValueError as err:
        raise UserError(f"{path}: {err}") from err
    if not isinstance(data, dict):
        raise UserError(f"{path}: a configuration is a mapping of keys to values")
    return data


def inline(value: Any) -> Any:
    return read_yaml(value) if isinstance(value, str) else value


_J = TypeVar("_J", bound=JobConfig)


Upstream = Annotated[_J, BeforeValidator(inline)]  # a path to the upstream configuration, or its keys


C = TypeVar("C", bound=Config)


_OF_SEVERAL_KINDS: Final = {"writer", "extractor", "llm"}


_TAGS: Final = {"extract", "finetune", "predict", "combine", "tune", "cascade"}  # of a system


def _written_keys(loc: Sequence[str | int]) -> list[str]:
    """The keys that somebody wrote; pydantic puts the kind in after one of several kinds."""
    keys: list[str] = []
    for place, part in enumerate(loc):
        if part in _TAGS and place and isinstance(loc[place - 1], int):
            continue
        if not (place and loc[place - 1] in _OF_SEVERAL_KINDS and (place < 2 or keys[-1] == loc[place - 1])):
            keys.append(str(part))
    return keys


def holds_secret(uri: str) -> bool:
    """Whether an address names a user, or what looks like a password or a key in its query."""
    return "@" in uri or bool(SECRET.search(uri))


def load_config(kind: type[C], path: str, overrides: Sequence[str | tuple[str, Any]]) -> C:
    """Read a YAML file, then apply overrides in order: `key.sub=value` texts, or pairs of a key and a value.

    An override may reach through an upstream configuration named by its path (`scripts.videos.videos=clips/`).
    Raises UserError that names the file and the key.
    """
    return validate(kind, with_overrides(read_yaml(path), overrides), path)


def with_overrides(data: dict[str, Any], overrides: Sequence[str | tuple[str, Any]]) -> dict[str, Any]:
    """The same mapping, changed in place by `load_config`'s overrides."""
    for override in overrides:
        key, value = _parse(override) if isinstance(override, str) else override
        *parents, leaf = key.split(".")
        node: Any = data
        for parent in parents:
            node = _enter(node, parent, key)
        _put(node, leaf, value, key)
    return data


def _parse(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"{override!r}: an override is key=value or key.sub=value")
    try:
        return key, parse_yaml(text)
    except ValueError as err:
        raise UserError(f"{override!r}: its value is not YAML; quote it") from err


def _enter(node: Any, name: str, key: str) -> Any:
    """The mapping or list at `name`, made if absent; a path to a configuration is read and put in its place."""
    child = node.setdefault(name, {}) if isinstance(node, dict) else node[_index(node, name, key)]
    if isinstance(child, str):
        child = read_yaml(child)
        _put(node, name, child, key)
    if not isinstance(child, dict | list):
        raise UserError(f"{key}: {name} has no keys below it")
    return child


def _put(node: Any, name: str, value: Any, key: str) -> None:
    if isinstance(node, dict):
        node[name] = value
    else:
        node[_index(node, name, key)] = value


def _index(node: list[Any], name: str, key: str) -> int:
    if not name.isdecimal() or int(name) >= len(node):
        raise UserError(f"{key}: {name} is not a place in a list of {len(node)} (the first is 0)")
    return int(name)


def validate(kind: type[C], data: dict[str, Any], where: str) -> C:
    """Check a mapping against a configuration; every wrong key in one UserError."""
    try:
        return kind.model_validate(data)
    except ValidationError as err:
        wrongs, errors = [], err.errors()
        for wrong in errors:
            # a list whose only item is wrong is then called too short: that item's error says it all
            within = [other for other in errors if other["loc"][: len(wrong["loc"])] == wrong["loc"]]
            if wrong["type"] == "too_short" and len(within) > 1:
                continue
            key = ".".join(_written_keys(wrong["loc"]))
            problem = "unknown key" if wrong["type"] == "extra_forbidden" else wrong["msg"].lower()
            wrongs.append(f"{key}: {problem}")
        raise UserError(f"{where}: {'; '.join(wrongs)}") from err
