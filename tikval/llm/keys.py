"""Keys of paid services: from the environment, or from a file that it names, so that no command has to carry one."""

import os
from pathlib import Path
from typing import Final

from tikval.config import Api, Endpoint, Gemini, UserError
from tikval.llm.thinking import check_parameters

GEMINI_KEY: Final = "GEMINI_API_KEY"
ENDPOINT_KEY: Final = "TIKVAL_ENDPOINT_KEY"
_MOST_BYTES: Final = 10_000


def read_key(name: str) -> str | None:
    """The key in the variable `name`, else in the file that `name`_FILE names; None where there is neither.

    Raises UserError where that file cannot be read.
    """
    if key := os.environ.get(name):
        return key
    place = os.environ.get(f"{name}_FILE")
    if not place:
        return None
    try:
        with Path(place).open(encoding="ascii") as file:
            return file.read(_MOST_BYTES).strip() or None
    except (OSError, UnicodeDecodeError) as err:
        raise UserError(f"{name}_FILE: {place} cannot be read as a key ({err})") from err


def check_access(llm: Gemini | Endpoint, api: Api) -> None:
    """Before anything starts: raises UserError where the key or the address is missing, or the model takes no such
    parameters."""
    if isinstance(llm, Gemini):
        check_parameters(llm)
    if isinstance(llm, Gemini) and not read_key(GEMINI_KEY):
        raise UserError(f"{GEMINI_KEY} is not set; get a key for the Gemini API and export it")
    if isinstance(llm, Endpoint) and not api.base_url:
        raise UserError("api.base_url: an endpoint needs its address, such as http://localhost:8000/v1")
