"""A head's logits -> probabilities and a loss: each label for itself, or each value's labels against each other.

B rows, L labels, V values, K labels of a value.
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


class Link(Protocol):
    def probabilities(self, logits_BL: Tensor) -> Tensor: ...  # [B, L]

    def loss(
        self, logits_BL: Tensor, labels_BL: Tensor, positive_weight_L: Tensor | None
    ) -> Tensor: ...  # [B]


class EachLabel:
    """A sigmoid of each logit, and the mean of the labels' binary cross-entropies (Appendix C.1)."""

    def probabilities(self, logits_BL: Tensor) -> Tensor:
        return logits_BL.sigmoid()

    def loss(self, logits_BL: Tensor, labels_BL: Tensor, positive_weight_L: Tensor | None) -> Tensor:
        return binary_cross_entropy_with_logits(
            logits_BL, labels_BL, reduction="none", pos_weight=positive_weight_L
        ).mean(1)


EACH_LABEL: Final = EachLabel()


class EachValue:
    """A softmax of each value over its labels and its absence, whose logit is 0; the mean of the cross-entropies.

    A value of one label is what it would be under `EachLabel`.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        members: dict[str, list[int]] = {}
        for i, label in enumerate(labels):
            members.setdefault(label.rstrip("+-"), []).append(i)
        most = max(len(each) for each in members.values())
        absent = len(labels)  # the place of the logit that is 0
        self.places_VK = torch.tensor([each + [absent] * (most - len(each)) for each in members.values()])
        self.value_L = torch.empty(len(labels), dtype=torch.long)
        for value, each in enumerate(members.values()):
            self.value_L[each] = value
        self.real_VK = self.places_VK < absent

    def _log_sums(self, logits_BL: Tensor) -> Tensor:
        """[B, V]: log of 1 + the sum of exp(logit) over a value's labels."""
        zero_B1 = logits_BL.new_zeros(len(logits_BL), 1)
        logits_BVK = torch.cat([logits_BL, zero_B1], 1)[:, self.places_VK]
        logits_BVK = logits_BVK.masked_fill(~self.real_VK.to(logits_BL.device), -torch.inf)
        absent_BV1 = zero_B1[..., None].expand(-1, logits_BVK.shape[1], 1)
        return torch.logsumexp(torch.cat([absent_BV1, logits_BVK], 2), 2)

    def probabilities(self, logits_BL: Tensor) -> Tensor:
        return (logits_BL - self._log_sums(logits_BL)[:, self.value_L]).exp()

    def loss(self, logits_BL: Tensor, labels_BL: Tensor, positive_weight_L: Tensor | None) -> Tensor:
        sums_BV = self._log_sums(logits_BL)
        true_BL = labels_BL * (logits_BL - sums_BV[:, self.value_L])  # log probability of what is true
        absent_BV = torch.ones_like(sums_BV).index_add(1, self.value_L.to(sums_BV.device), -labels_BL)
        if positive_weight_L is not None:
            true_BL = true_BL * positive_weight_L
        return ((absent_BV * sums_BV).sum(1) - true_BL.sum(1)) / sums_BV.shape[1]


def link_of(heads: Literal["multilabel", "per_label", "three_way"], labels: Sequence[str]) -> Link:
    return EachValue(labels) if heads == "three_way" else EACH_LABEL
