"""The client of a configured model, whichever it is."""

from typing import Any

from tikval.config import Api, Endpoint, Gemini, UserError
from tikval.llm.client import Client
from tikval.llm.keys import ENDPOINT_KEY, GEMINI_KEY, read_key
from tikval.llm.uploads import Uploads


def make_client(
    llm: Gemini | Endpoint,
    api: Api,
    schema: dict[str, Any] | None,
    uploads: Uploads | None = None,
    system: str | None = None,
) -> Client:
    """Make the client, in the actor: keys are read where they are used, and travel in no message."""
    if isinstance(llm, Gemini):
        from tikval.llm.gemini_batch import GeminiBatches

        key = read_key(GEMINI_KEY)
        if not key:
            raise UserError(
                f"{GEMINI_KEY} is not set on a worker; put it into a file on the nodes and name that in "
                f"{GEMINI_KEY}_FILE (docs/cluster.md)"
            )
        return GeminiBatches(llm, api, key, schema, uploads=uploads, system=system)
    from tikval.llm.endpoint import EndpointClient

    return EndpointClient(llm, api, read_key(ENDPOINT_KEY), schema, system=system)
