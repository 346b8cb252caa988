"""Which videos are withheld from models that are not our own: those of accounts that feature a minor."""

from collections.abc import Iterable

from tikval.config import Api, Endpoint, Gemini, Vllm
from tikval.store.folder import Folder


def withheld_accounts(catalog: Folder, llm: Gemini | Vllm | Endpoint, api: Api) -> frozenset[str]:
    """Accounts that feature a minor, where the model is not our own and `send_minors` is off."""
    if isinstance(llm, Vllm) or api.send_minors:
        return frozenset()
    return frozenset(row["account"] for row in catalog.read_side_table("accounts") if row["is_minor"])


def withheld_rows(catalog: Folder, accounts: Iterable[str]) -> frozenset[str]:
    """Row keys of these accounts' videos."""
    if not (names := set(accounts)):
        return frozenset()
    rows = catalog.read(["row_key", "account"]).to_pylist()
    return frozenset(row["row_key"] for row in rows if row["account"] in names)
