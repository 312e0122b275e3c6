"""Z-Image's transformer, run so that nothing is computed twice.

The same arithmetic as diffusers' ZImageTransformer2DModel (equal to about 1e-5 in fp32), but what
depends on the prompt, the size or the step alone is computed once a picture (`prepare`) instead of
once a step: caption branch, position tables, modulation. Projections are fused (`blocks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from diffusers import ZImageTransformer2DModel
from torch import Tensor, nn

from studio.render.blocks import Attend, Block, Projection, Rope, sdpa

PADDING = 32  # captions and pictures are padded to multiples of this many tokens
PATCH = 2  # latent cells a side of one token


@dataclass(slots=True)
class Plan:
    """What stays the same over the steps of a picture.

    `caption` [batch, caption tokens, dim]; `rope_image` and `rope_all` cosines and sines
    [1, tokens, 1, head_dim / 2]; `embedded` [steps, width], the times; `mods`
    [steps, blocks, 4, 1, 1, dim], noise refiner first; `final` [steps, 1, 1, dim].
    """

    rows: int
    columns: int
    caption: Tensor
    rope_image: Rope
    rope_all: Rope
    embedded: Tensor
    mods: Tensor
    final: Tensor

    @property
    def steps(self) -> int:
        """How many steps were planned."""
        return len(self.mods)

    @property
    def image_tokens(self) -> int:
        """Tokens of the picture, without padding."""
        return self.rows * self.columns


class Hints(Protocol):
    """What a ControlNet adds; see `control`."""

    def hints(self, x: Tensor, model: FusedTransformer, plan: Plan, step: int) -> dict[int, Tensor]:
        """By layer: what is added to its output. x: the embedded picture [batch, image tokens padded, dim]."""
        ...


@dataclass
class _Tables:
    """Rotary tables of the last sizes."""

    found: dict[tuple[int, int, int], tuple[Rope, Rope, Rope]] = field(default_factory=dict)
    size: int = 16


class FusedTransformer(nn.Module):
    """A loaded diffusers transformer, made fast. Its weights become views of the fused ones."""

    def __init__(self, transformer: ZImageTransformer2DModel, *, attend: Attend = sdpa) -> None:
        super().__init__()
        key = f"{PATCH}-1"
        self.config: Any = transformer.config
        self.embedder: Any = transformer.all_x_embedder[key]
        self.last: Any = transformer.all_final_layer[key]
        self.t_embedder: Any = transformer.t_embedder
        self.t_scale = float(transformer.t_scale)
        self.cap_embedder: Any = transformer.cap_embedder
        self.x_pad: nn.Parameter = transformer.x_pad_token
        self.cap_pad: nn.Parameter = transformer.cap_pad_token
        self._rope: Any = transformer.rope_embedder
        self.channels = int(transformer.in_channels)
        # A few dozen tokens once a picture: never compiled, never quantised, any attention kernel will do.
        self.context = nn.ModuleList(
            Block(block, f"context_refiner.{i}", sdpa) for i, block in enumerate(transformer.context_refiner))
        self.refiner = nn.ModuleList(
            Block(block, f"noise_refiner.{i}", attend) for i, block in enumerate(transformer.noise_refiner))
        self.layers = nn.ModuleList(Block(block, f"layers.{i}", attend) for i, block in enumerate(transformer.layers))
        self._tables = _Tables()

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of activations."""
        return self.x_pad.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.x_pad.device

    def blocks(self) -> list[Block]:
        """The blocks that run in every step: noise refiner, then layers."""
        return [block for block in (*self.refiner, *self.layers) if isinstance(block, Block)]

    def projections(self) -> list[Projection]:
        """Every fused projection, also of the caption branch: what a LoRA can adapt."""
        return [module for module in self.modules() if isinstance(module, Projection)]

    @torch.no_grad()
    def prepare(self, captions: Sequence[Tensor], *, rows: int, columns: int, times: Tensor) -> Plan:
        """Plan pictures of `rows` x `columns` tokens (16 px each) for prompts that pad to one length.

        captions: one [tokens, width] per picture of the batch; times: [steps], 0 at pure noise, 1 at
        the finished picture. Raises ValueError when the captions pad to different lengths, which
        would need an attention mask.
        """
        lengths = {_padded(len(caption)) for caption in captions}
        if len(lengths) != 1:
            raise ValueError("captions of one batch must pad to the same length")
        length = lengths.pop()
        rope_image, rope_caption, rope_all = self._positions(rows, columns, length)
        caption = torch.stack([self._embed_caption(caption, length) for caption in captions])
        for block in self.context:
            caption = block(caption, *rope_caption)
        embedded = self.t_embedder(times.to(self.device, torch.float32) * self.t_scale).to(self.dtype)
        mods = torch.stack([block.modulations(embedded) for block in self.blocks()], dim=1)
        final = (1.0 + self.last.adaLN_modulation(embedded))[:, None, None, :]
        return Plan(rows, columns, caption, rope_image, rope_all, embedded, mods, final)

    @torch.no_grad()
    def velocity(self, latents: Tensor, plan: Plan, step: int, control: Hints | None = None) -> Tensor:
        """The model's output at `step` for latents [batch, channels, 2 rows, 2 columns], fp32 of the same shape.

        It points to the finished picture: the negative of what a flow-match scheduler takes.
        """
        x = self.embed(latents, plan)
        hints = control.hints(x, self, plan, step) if control else {}
        return self.run(x, plan, plan.mods[step], plan.final[step], hints)

    def embed(self, latents: Tensor, plan: Plan) -> Tensor:
        """Latents as tokens: [batch, image tokens padded, dim]."""
        tokens = self.embedder(patchify(latents.to(self.dtype)))
        return pad(tokens, self.x_pad)

    def run(self, x: Tensor, plan: Plan, mods: Tensor, final: Tensor, hints: dict[int, Tensor]) -> Tensor:
        """From embedded tokens to the output; `mods` [blocks, 4, 1, 1, dim] and `final` are one step's."""
        number = 0
        for block in self.refiner:
            x = block(x, *plan.rope_image, mods[number])
            number += 1
        x = torch.cat((x, plan.caption.expand(len(x), -1, -1)), dim=1)
        for index, block in enumerate(self.layers):
            x = block(x, *plan.rope_all, mods[number])
            number += 1
            if index in hints:
                x = x + hints[index]
        x = x[:, :plan.image_tokens]
        x = self.last.linear(self.last.norm_final(x) * final)
        return unpatchify(x, plan.rows, plan.columns, self.channels).float()

    def _embed_caption(self, caption: Tensor, length: int) -> Tensor:
        tokens = self.cap_embedder(caption.to(self.device, self.dtype))
        return torch.cat((tokens, self.cap_pad.to(tokens.dtype).expand(length - len(tokens), -1)))

    def _positions(self, rows: int, columns: int, length: int) -> tuple[Rope, Rope, Rope]:
        """Rotary tables of picture, caption and both, kept for the last sizes."""
        key = (rows, columns, length)
        tables = self._tables.found
        found = tables.pop(key, None) or self._new_positions(rows, columns, length)
        tables[key] = found  # newest last
        while len(tables) > self._tables.size:
            del tables[next(iter(tables))]
        return found

    def _new_positions(self, rows: int, columns: int, length: int) -> tuple[Rope, Rope, Rope]:
        image = torch.cartesian_prod(torch.tensor([length + 1]), torch.arange(rows), torch.arange(columns))
        image = torch.cat((image, image.new_zeros((-len(image)) % PADDING, 3)))
        caption = torch.stack((torch.arange(1, length + 1), *torch.zeros(2, length, dtype=torch.long)), dim=1)
        every = self._rope(torch.cat((image, caption)).to(self.device))
        cos, sin = every.real.float().contiguous(), every.imag.float().contiguous()
        at = len(image)
        return _rope(cos[:at], sin[:at]), _rope(cos[at:], sin[at:]), _rope(cos, sin)


def _rope(cos: Tensor, sin: Tensor) -> Rope:
    # A slice with all its axes has the strides of the whole: to compiled blocks, another kind of input.
    return cos[None, :, None, :], sin[None, :, None, :]


def patchify(latents: Tensor) -> Tensor:
    """[batch, channels, 2 rows, 2 columns] -> [batch, rows x columns, 4 channels], as the embedders read it."""
    batch, channels, height, width = latents.shape
    cells = latents.reshape(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, (height // PATCH) * (width // PATCH), -1)


def unpatchify(tokens: Tensor, rows: int, columns: int, channels: int) -> Tensor:
    """The inverse of `patchify`."""
    cells = tokens.view(len(tokens), rows, columns, PATCH, PATCH, channels)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(len(tokens), channels, rows * PATCH, columns * PATCH)


def pad(tokens: Tensor, token: Tensor) -> Tensor:
    """Tokens [batch, n, dim] with `token` [1, dim] added up to a multiple of PADDING."""
    missing = -tokens.shape[1] % PADDING
    if not missing:
        return tokens
    return torch.cat((tokens, token.to(tokens.dtype).expand(len(tokens), missing, -1)), dim=1)


def _padded(length: int) -> int:
    return length + -length % PADDING
