"""Continued pre-training: an encoder goes on guessing masked tokens, now of this study's texts.

The paper's "PT" rows (Figure 3, Tables 3 to 6). No label is seen; who pre-trains on texts of the test rows, as the
paper did, has nevertheless shown them to the model.

P blocks, T tokens, G of them guessed, V words of the vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, distributed, nn
from torch.nn.functional import cross_entropy

from tikval.config import TextEncoder
from tikval.finetune import optim
from tikval.finetune.batches import pack, steps_per_epoch, training_batches
from tikval.finetune.model import (
    check_encoder,
    check_length,
    load_tokenizer,
    masks_of,
    positions,
    quiet_transformers,
    read_settings,
)
from tikval.hub.pin import place_of

_NOT_GUESSED = -100  # what cross_entropy leaves out
# the head's names in Microsoft's checkpoints; by its own, transformers would start it from nothing
_DEBERTA_HEAD: Final = {
    r"^lm_predictions\.lm_head\.(dense|LayerNorm)\.": r"cls.predictions.transform.\1.",
    r"^lm_predictions\.lm_head\.bias$": "cls.predictions.bias",
}


class Pretrained(NamedTuple):
    losses: tuple[float, ...]  # of each epoch, in nats per masked token
    had_head: bool  # whether the checkpoint could guess tokens before


@dataclass(frozen=True)
class Progress:
    """All that a later process needs to go on after an epoch. Its tensors are live: save them before returning."""

    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    losses: tuple[float, ...]  # nats per masked token, of each finished epoch while the weights change

    def save(self, file: IO[bytes]) -> None:
        plain = {"model": self.model, "optimizer": self.optimizer, "losses": list(self.losses)}
        torch.save(plain, file)

    @classmethod
    def load(cls, file: IO[bytes]) -> "Progress":
        """Read a file onto the CPU; nothing in it is run."""
        plain = torch.load(file, map_location="cpu", weights_only=True)
        return cls(plain["model"], plain["optimizer"], tuple(plain["losses"]))


def masked(
    ids_PT: Tensor,
    special_PT: Tensor,
    vocab: int,
    mask_id: int,
    generator: Generator,
    mask_share: float = 0.15,
) -> tuple[Tensor, Tensor]:
    """What the model reads, and what it shall guess, both [P, T]; -100 where nothing is to be guessed.

    Each token that is not special is drawn with `mask_share`; of the drawn, 80 % become the mask, 10 % any token of
    the vocabulary, and 10 % stay, as BERT was trained (Devlin et al. 2019, section 3.1).
    """
    drawn_PT = (torch.rand(ids_PT.shape, generator=generator) < mask_share) & ~special_PT.bool()
    labels_PT = torch.where(drawn_PT, ids_PT, _NOT_GUESSED)
    fate_PT = torch.rand(ids_PT.shape, generator=generator)
    any_PT = torch.randint(vocab, ids_PT.shape, generator=generator)
    inputs_PT = torch.where(drawn_PT & (fate_PT < 0.8), mask_id, ids_PT)
    return torch.where(drawn_PT & (fate_PT >= 0.9), any_PT, inputs_PT), labels_PT


def load_masked_model(config: TextEncoder) -> tuple[Any, bool]:
    """The encoder with the head that guesses tokens, in float32, and whether the checkpoint had that head.

    Without one (a sentence encoder's checkpoint, say) the head starts from nothing, and the first steps serve it more
    than the encoder. Raises ValueError for a checkpoint that does not suit.
    """
    from transformers import AutoModelForMaskedLM

    settings = read_settings(config)
    check_encoder(config.model, settings)
    quiet_transformers()
    model, loading = AutoModelForMaskedLM.from_pretrained(
        place_of(config.model, config.revision),
        revision=config.revision,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
        key_mapping=_DEBERTA_HEAD if settings.model_type.startswith("deberta") else None,
    )
    missing = sorted(loading["missing_keys"])
    inside = [key for key in missing if key.startswith(f"{model.base_model_prefix}.")]
    if inside:
        raise ValueError(
            f"{config.model}: its weights lack {inside[0]} and {len(inside) - 1} more of the model's"
        )
    check_length(config.model, config.max_tokens, positions(model))
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model, not missing


def check_masks(config: TextEncoder) -> Any:
    """The tokenizer. Raises ValueError for one without a mask."""
    tokenizer = load_tokenizer(config)
    if tokenizer.mask_token_id is None:
        raise ValueError(f"{config.model}: its tokenizer has no mask")
    return tokenizer


def logit_bytes(config: TextEncoder, batch_rows: int, mask_share: float, *, workers: int = 1) -> int:
    """About what the head takes of a worker's memory, beside the encoder's own: P blocks of T tokens, V words each.

    The logits and their gradients, and of the guessed tokens two more in float32, for the loss and for its gradient.
    """
    number = 2 if config.precision == "bfloat16" else 4
    tokens = -(-batch_rows // workers) * config.max_tokens
    words = int(read_settings(config).vocab_size)
    return round(tokens * words * (2 * number + mask_share * (2 * number + 2 * 4)))


def pretrain(
    config: TextEncoder,
    texts: Sequence[str],
    folder: Path,
    *,
    mask_share: float = 0.15,
    epochs: int = 3,
    learning_rate: float = 5e-5,
    batch_rows: int = 16,
    warmup_share: float = 0.1,
    weight_decay: float = 0.01,
    gradient_norm: float = 1.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    rank: int = 0,
    world: int = 1,
    resume: Progress | None = None,
    on_epoch: Callable[[Progress], None] = lambda progress: None,
) -> Pretrained:
    """Train on the texts and save model and tokenizer to `folder`, which `TextEncoder.model` may name from then on.

    Of the configuration count model, revision, max_tokens, precision and gradient_checkpointing. With a world of more
    than one worker the process group exists already; worker 0 alone writes. Raises ValueError for a tokenizer
    without a mask and for texts without tokens, FloatingPointError where the loss is no number any more.
    """
    device = torch.device(device)
    tokenizer = check_masks(config)
    optim.seed_all(seed, 0, 0, 0)
    model, had_head = load_masked_model(config)
    model.to(device)
    optimizer = optim.adamw(model, learning_rate, weight_decay)
    losses = _restored(resume, model, optimizer) if resume else ()
    data = pack(tokenizer, texts, config.max_tokens)
    steps = steps_per_epoch(len(data), batch_rows)
    trained = optim.parallel(model, device) if world > 1 else model
    guess = _Guess(config, tokenizer, trained, model.config, device)
    for epoch in range(len(losses) + 1, epochs + 1):
        optim.seed_all(seed, 0, epoch, rank)
        generator = torch.Generator().manual_seed(torch.initial_seed())
        batches = training_batches(
            data, np.arange(len(data)), batch_rows, seed=seed, epoch=epoch, rank=rank, world=world
        )
        guess.model.train()
        total = torch.zeros(2, dtype=torch.float64, device=device)  # loss and guessed tokens of all workers
        for step, batch in enumerate(batches, start=steps * (epoch - 1)):
            optim.set_rate(optimizer, learning_rate * optim.rate_share(step, steps * epochs, warmup_share))
            total += _backward(guess, batch, generator, mask_share, world)
            optim.descend(model, optimizer, gradient_norm)
        losses = (*losses, float(total[0] / total[1].clamp(min=1)))
        if not np.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss of epoch {epoch} is {losses[-1]}: lower the learning rate")
        on_epoch(Progress(model.state_dict(), optimizer.state_dict(), losses))
    if rank == 0:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return Pretrained(losses, had_head)


def _restored(resume: Progress, model: Any, optimizer: Any) -> tuple[float, ...]:
    """The losses so far; model and optimizer become what they were then."""
    model.load_state_dict(resume.model)
    optimizer.load_state_dict(resume.optimizer)
    return resume.losses


def _backward(
    guess: "_Guess", batch: Any, generator: torch.Generator, mask_share: float, world: int
) -> torch.Tensor:
    """Gradients of one batch; [2] the summed loss and the number of guessed tokens, of all workers."""
    ids_PT, mask_PT = batch.inputs
    special_PT = guess.special(ids_PT) | (mask_PT == 0) | (batch.weight == 0)[:, None]
    tokenizer = guess.tokenizer
    inputs_PT, labels_PT = masked(
        ids_PT, special_PT, len(tokenizer), tokenizer.mask_token_id, generator, mask_share
    )
    loss = guess(inputs_PT, mask_PT, labels_PT)
    guessed = (labels_PT != _NOT_GUESSED).sum().double().to(loss.device)
    sums = torch.stack([loss.detach().double(), guessed])
    if world > 1:
        distributed.all_reduce(sums)
    # workers drew different numbers of tokens, and DDP averages: the mean over all of them is wanted
    (loss * world / sums[1].clamp(min=1)).backward()  # type: ignore[no-untyped-call]
    return sums


class _Guess:
    """The summed loss over the masked tokens of a batch."""

    def __init__(
        self, config: TextEncoder, tokenizer: Any, model: nn.Module, settings: Any, device: torch.device
    ):
        self.tokenizer, self.model, self.settings, self.device = tokenizer, model, settings, device
        self.half = config.precision == "bfloat16"
        self.special_ids = torch.tensor(tokenizer.all_special_ids)

    def special(self, ids_PT: Tensor) -> Tensor:
        return torch.isin(ids_PT, self.special_ids)

    def __call__(self, inputs_PT: Tensor, mask_PT: Tensor, labels_PT: Tensor) -> Tensor:
        masks = masks_of(self.settings.model_type, mask_PT.to(self.device))
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            logits_PTV = self.model(input_ids=inputs_PT.to(self.device), **masks).logits
        # of a vocabulary of 128,000 the logits are the largest thing in memory: only those that count in float32
        guessed_PT = labels_PT != _NOT_GUESSED
        logits_GV = logits_PTV[guessed_PT.to(self.device)].float()
        return cross_entropy(logits_GV, labels_PT[guessed_PT].to(self.device), reduction="sum")
