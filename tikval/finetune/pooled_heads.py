"""Heads over an encoder's states of all tokens: on their plain mean, or on a weighted mean for each label.

P pieces, T tokens, L labels, D width, S sentences.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

_START: Final = 5.0  # length of a weight that starts from a description: logits of about -1 to 1
_AT_ONCE: Final = 32  # sentences
_LONGEST: Final = 64  # tokens of a sentence


class MeanHead(nn.Linear):
    """States [P, T, D] and their mask [P, T] -> logits [P, L]: the mean of the real tokens, dropout, linear."""

    def __init__(self, width: int, n_labels: int, dropout: float) -> None:
        super().__init__(width, n_labels)
        near_zero(self.weight, self.bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states_PTD: Tensor, mask_PT: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(self.dropout(mean_of_tokens(states_PTD, mask_PT)))

    def start_from(self, descriptions_LD: Tensor) -> None:
        with torch.no_grad():
            self.weight.copy_(descriptions_LD * _START)


class LabelAttention(nn.Module):
    """States [P, T, D] and their mask [P, T] -> logits [P, L]: each label pools the tokens by a query of its own.

    What a value is told by is often a few words of a text, and other words for other values (Mullenbach et al. 2018,
    CAML). With queries of zero the pooled vector is the plain mean.
    """

    def __init__(self, width: int, n_labels: int, dropout: float) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(n_labels, width))  # [L, D]
        self.weight = nn.Parameter(torch.empty(n_labels, width))  # [L, D]
        self.bias = nn.Parameter(torch.empty(n_labels))
        near_zero(self.weight, self.bias)
        nn.init.normal_(self.query, std=0.02)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states_PTD: Tensor, mask_PT: Tensor) -> Tensor:
        fit_PTL = (states_PTD @ self.query.T).masked_fill(mask_PT[..., None] == 0, -torch.inf)
        pooled_PLD = fit_PTL.softmax(1).transpose(1, 2) @ states_PTD
        return (self.dropout(pooled_PLD) * self.weight).sum(-1) + self.bias  # type: ignore[no-any-return]

    def start_from(self, descriptions_LD: Tensor) -> None:
        with torch.no_grad():
            self.query.copy_(descriptions_LD)
            self.weight.copy_(descriptions_LD * _START)


PooledHead = MeanHead | LabelAttention


def near_zero(weight: Tensor, bias: Tensor) -> None:
    """Heads of BERT and its kin start so: every probability near a half."""
    nn.init.normal_(weight, std=0.02)
    nn.init.zeros_(bias)


def mean_of_tokens(states_PTD: Tensor, mask_PT: Tensor) -> Tensor:
    """[P, D]: the mean over the real tokens."""
    real_PT1 = mask_PT[..., None].to(states_PTD.dtype)
    return (states_PTD * real_PT1).sum(1) / real_PT1.sum(1).clamp(min=1)


@torch.no_grad()
def description_vectors(encode: Any, tokenizer: Any, sentences: Sequence[Sequence[str]]) -> Tensor:
    """[L, D] of length 1: what sets each label's description and examples apart from the other labels'.

    `encode`: ids and mask [S, T] -> states [S, T, D]; a label's first sentence describes it, the others are examples.
    Raises ValueError for a label without a sentence.
    """
    if not sentences or not all(sentences):
        raise ValueError("model.definitions: the codebook does not describe every label that is trained")
    flat = [sentence for each in sentences for sentence in each]
    found = []
    for first in range(0, len(flat), _AT_ONCE):
        some = tokenizer(flat[first : first + _AT_ONCE], padding=True, truncation=True, max_length=_LONGEST)
        ids_ST, mask_ST = (torch.tensor(some[key]) for key in ("input_ids", "attention_mask"))
        found.append(mean_of_tokens(encode(ids_ST, mask_ST).float(), mask_ST))
    vectors = torch.split(torch.cat(found), [len(each) for each in sentences])
    label_LD = torch.stack([(own[0] + own[1:].mean(0)) / 2 if len(own) > 1 else own[0] for own in vectors])
    apart_LD = label_LD - label_LD.mean(0) if len(label_LD) > 1 else label_LD
    unit_LD: Tensor = apart_LD / apart_LD.norm(dim=1, keepdim=True).clamp(min=1e-8)
    return unit_LD
