"""run.json: what a stage's finished folder says of itself, and which files hold its table."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from pydantic import TypeAdapter

from tikval.rows import Reason

OVER_SOME: Final = "only"  # among the inputs of a run: a hash of the videos that it was over


@dataclass(frozen=True)
class FolderRun:
    """What run.json says of a finished folder."""

    stage: str
    fingerprint: str
    files: list[str]
    side_tables: dict[str, str]  # other small tables of the folder, by name
    inputs: dict[str, str]  # upstream folder -> its state when this run read it
    rows: int
    failed: dict[str, int]  # by reason
    config: dict[str, Any]
    seconds: float
    finished_at: str
    tikval: str
    computed: int | None = None  # rows that `seconds` were spent on; None: not known

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read run.json, where side tables stand under `beside`: the key that the first version wrote.

        Raises ValueError for what `to_json` did not write.
        """
        try:
            fields = json.loads(data)
            run = cls(side_tables=fields.pop("beside"), **fields)
            _FIELDS.validate_python(vars(run))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as err:
            raise ValueError(f"not what tikval wrote there ({' '.join(str(err).split())[:100]})") from err
        if odd := [name for name in (*run.files, *run.side_tables.values()) if "/" in name]:
            raise ValueError(f"names {odd[0][:100]}, which is not in this folder")
        run.retryable  # noqa: B018 - raises ValueError for a reason that there is not
        return run

    def to_json(self) -> bytes:
        """Return run.json as every version reads it."""
        names = {"side_tables": "beside"}
        fields = {names.get(key, key): value for key, value in asdict(self).items()}
        if self.computed is None:  # as a version before wrote it
            del fields["computed"]
        return json.dumps(fields, indent=2).encode()

    @property
    def state(self) -> str:
        """Changes whenever the finished table is written anew."""
        names = [*self.files, *self.side_tables.values()]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]

    @property
    def is_partial(self) -> bool:
        """Whether only some of the videos were to be judged, for another system that asks this one."""
        return OVER_SOME in self.inputs

    @property
    def retryable(self) -> int:
        return sum(n for reason, n in self.failed.items() if not Reason(reason).terminal)


_FIELDS: Final = TypeAdapter(FolderRun)
