"""Whether this machine can load a model, and how many GPUs CUDA shows it: asked before a study begins."""


def load_once(name: str, revision: str | None, *, whole: bool) -> None:
    """Load a sentence encoder and encode a sentence (`whole`), or a language model's configuration and tokenizer.

    Raises whatever the hub, a disk or a library has against it.
    """
    if whole:
        from tikval.hub.sentences import load_encoder

        encode, _ = load_encoder(name, revision)
        encode(["Somebody helps a neighbour."])
        return
    from transformers import AutoConfig, AutoTokenizer

    AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)


def cuda_devices() -> int:
    """GPUs that CUDA shows to this process."""
    import torch  # deferred: seconds of import

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
