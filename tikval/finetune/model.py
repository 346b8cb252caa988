"""A pre-trained text encoder with a classification head, and an MLP over vectors (section 4, Appendix C.1).

transformers takes seconds to import, and vectors need none of it: what does imports it where it is used.

P pieces (whole texts, or windows of them), T tokens, B rows, D width, L labels.
"""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tikval.config import TextEncoder, VectorHead
from tikval.hub.pin import place_of

_DROPOUT_OF_THE_HEAD: Final = ("classifier_dropout", "cls_dropout")  # as the architectures call it


class TextClassifier(nn.Module):
    """Token ids [P, T] and their mask [P, T] (1: a real token) -> logits float32 [P, L].

    Without a `head` the encoder is a model of transformers with one of its own; with it, the mean of all real tokens
    goes through dropout and the head.
    """

    def __init__(
        self, encoder: nn.Module, head: nn.Module | None, *, dropout: float = 0.1, bfloat16: bool = False
    ) -> None:
        super().__init__()
        settings: Any = encoder.config
        self.model_type: str = settings.model_type
        self.encoder, self.head, self.in_bfloat16 = encoder, head, bfloat16
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids_PT: Tensor, mask_PT: Tensor) -> Tensor:
        masks = masks_of(self.model_type, mask_PT)
        with torch.autocast(ids_PT.device.type, dtype=torch.bfloat16, enabled=self.in_bfloat16):
            out = self.encoder(input_ids=ids_PT, **masks)
        if self.head is None:
            return out.logits.float()  # type: ignore[no-any-return]
        return self.head(self.dropout(_mean(out.last_hidden_state.float(), mask_PT)))  # type: ignore[no-any-return]


class VectorClassifier(nn.Module):
    """Hidden layers with ReLU and dropout, then linear: vectors [B, D] -> logits float32 [B, L].

    With `standardise`, the mean and deviation that `measure` took are part of the saved state.
    """

    mean: Tensor  # [D]
    deviation: Tensor  # [D]

    def __init__(
        self, width: int, hidden: tuple[int, ...], n_labels: int, *, dropout: float, standardise: bool
    ) -> None:
        super().__init__()
        self.standardise = standardise
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        layers: list[nn.Module] = []
        for inside, outside in zip((width, *hidden), hidden, strict=False):
            layers += [nn.Linear(inside, outside), nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(*layers)
        self.head = _linear((width, *hidden)[-1], n_labels)

    def measure(self, x_ND: NDArray[np.float32]) -> None:
        """Take mean and deviation from the rows that train; a number that never varies there keeps deviation 1."""
        deviation_D = x_ND.std(0, dtype=np.float64)
        deviation_D[deviation_D < 1e-8] = 1
        self.mean.copy_(torch.from_numpy(x_ND.mean(0, dtype=np.float64)))
        self.deviation.copy_(torch.from_numpy(deviation_D))

    def forward(self, x_BD: Tensor) -> Tensor:
        return self.head(self.body((x_BD - self.mean) / self.deviation))  # type: ignore[no-any-return]


def build(
    config: TextEncoder | VectorHead, n_labels: int, width: int | None = None, *, pretrained: bool = True
) -> nn.Module:
    """A model with a fresh head (and, of vectors of `width` numbers, fresh layers) on the CPU in float32.

    A checkpoint's own head stays where it has as many labels. Without `pretrained` only the checkpoint's configuration
    is read, for weights that come from elsewhere. Draws from torch's generator. Raises ValueError for a checkpoint that
    does not suit, OSError where there is none.
    """
    if n_labels < 1:
        raise ValueError("a classifier needs a label")
    if isinstance(config, VectorHead):
        if width is None:
            raise ValueError("the width of the vectors is not given")
        return VectorClassifier(
            width, config.hidden, n_labels, dropout=config.dropout, standardise=config.standardise
        )
    from transformers import AutoModel, AutoModelForSequenceClassification

    settings = read_settings(config)
    check_encoder(config.model, settings)
    quiet_transformers()
    own = config.pooling == "head"
    if own:
        settings.num_labels, settings.problem_type = n_labels, "multi_label_classification"
        for key in _DROPOUT_OF_THE_HEAD:
            if hasattr(settings, key):
                setattr(settings, key, config.dropout)
    kind: Any = AutoModelForSequenceClassification if own else AutoModel
    if pretrained:
        encoder = _read_weights(config, kind, settings, own)
    else:
        encoder = kind.from_config(settings, dtype=torch.float32, trust_remote_code=False)
    check_length(config.model, config.max_tokens, positions(encoder))
    if config.gradient_checkpointing:
        encoder.gradient_checkpointing_enable({"use_reentrant": False})
    half = config.precision == "bfloat16"
    if own:
        return TextClassifier(encoder, None, bfloat16=half)
    # a layer that no loss reaches would keep DDP waiting for its gradient
    if getattr(encoder, "pooler", None) is not None:
        encoder.register_module("pooler", None)
    head = _linear(settings.hidden_size, n_labels)
    return TextClassifier(encoder, head, dropout=config.dropout, bfloat16=half)


def _read_weights(config: TextEncoder, kind: Any, settings: Any, own_head: bool) -> Any:
    """The encoder with the checkpoint's weights. Raises ValueError where these are not all the encoder's."""
    # float32 is asked for: checkpoints kept in half precision would train in it
    encoder, loading = kind.from_pretrained(
        place_of(config.model, config.revision),
        revision=config.revision,
        config=settings,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # a head that was there before, of other labels
    )
    inside = f"{encoder.base_model_prefix}." if own_head else ""
    # a checkpoint of a bare model calls its layers by other names than one with a head
    missing = sorted(key.removeprefix(inside) for key in loading["missing_keys"] if key.startswith(inside))
    missing = [key for key in missing if not key.startswith("pooler.")]
    if missing:
        raise ValueError(
            f"{config.model}: its weights lack {missing[0]} and {len(missing) - 1} more of the model's"
        )
    return encoder


def quiet_transformers() -> None:
    """A checkpoint's pre-training head is left out on purpose, and transformers would list it at every load."""
    from transformers import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def read_settings(config: TextEncoder) -> Any:
    """The checkpoint's configuration. Raises ValueError for one that transformers does not know."""
    from transformers import AutoConfig

    place = place_of(config.model, config.revision)
    return AutoConfig.from_pretrained(place, revision=config.revision, trust_remote_code=False)


def load_tokenizer(config: TextEncoder) -> Any:
    """The checkpoint's tokenizer. Raises ValueError for one that cannot pad."""
    from transformers import AutoTokenizer

    place = place_of(config.model, config.revision)
    tokenizer = AutoTokenizer.from_pretrained(place, revision=config.revision, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ValueError(
                f"{config.model}: its tokenizer has no token to pad with, and none for the end of a text"
            )
        tokenizer.pad_token = tokenizer.eos_token  # any will do: padding is masked
    return tokenizer


def masks_of(model_type: str, mask_PT: Tensor) -> dict[str, Tensor]:
    """The mask of real tokens [P, T] as a model takes it.

    Longformer's tokens see their neighbours only, but for those named global: here the first, whose vector is read.
    """
    masks = {"attention_mask": mask_PT}
    if model_type == "longformer":
        masks["global_attention_mask"] = torch.zeros_like(mask_PT)
        masks["global_attention_mask"][:, 0] = 1
    return masks


def check_encoder(name: str, settings: Any) -> None:
    """Raises ValueError for the configuration of a model that does not read whole texts in both directions."""
    from transformers import MODEL_FOR_MASKED_LM_MAPPING

    if type(settings) not in MODEL_FOR_MASKED_LM_MAPPING or settings.is_encoder_decoder:
        raise ValueError(
            f"{name}: a model of type {settings.model_type} is no masked-language encoder of texts"
        )


def check_length(name: str, max_tokens: int, limit: int | None) -> None:
    """Raises ValueError for texts longer than the model's positions."""
    if limit is not None and max_tokens > limit:
        raise ValueError(f"{name}: takes at most {limit} tokens, and max_tokens is {max_tokens}")


def positions(encoder: nn.Module) -> int | None:
    """The most tokens an encoder takes; None: no limit (relative positions only, as DeBERTa-v2).

    RoBERTa and its kin count positions from behind the padding's: its table of 514 holds 512 tokens.
    """
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    settings: Any = encoder.config
    relative = getattr(settings, "relative_attention", False)
    return None if relative else getattr(settings, "max_position_embeddings", None)


def _mean(states_PTD: Tensor, mask_PT: Tensor) -> Tensor:
    """[P, D]: the mean over the real tokens."""
    real_PT1 = mask_PT[..., None].to(states_PTD.dtype)
    return (states_PTD * real_PT1).sum(1) / real_PT1.sum(1).clamp(min=1)


def _linear(width: int, n_labels: int) -> nn.Linear:
    """Heads of BERT and its kin start near zero: every probability near a half."""
    head = nn.Linear(width, n_labels)
    nn.init.normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return head
