"""The transformer's forward pass for a whole batch: what diffusers computes picture by picture, in one go.

All pictures of a batch have one size and all captions fill the same number of 32-token blocks. The numbers are those of
ZImageTransformer2DModel.forward (tests/demo_model holds them against it), which loops over the batch in Python.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 32  # tokens: captions and pictures are padded to multiples of it


class FullPrecisionAttention:
    """Z-Image's attention with its products in fp32: on a CPU, the way back is twice as quick as in bf16."""

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, freqs_cis: Tensor | None = None,
    ) -> Tensor:
        """[batch, tokens, width] to the same; `freqs_cis` are the rotations, [batch, tokens, head / 2], complex."""
        heads = [layer(hidden_states).unflatten(-1, (attn.heads, -1))
                 for layer in (attn.to_q, attn.to_k, attn.to_v)]
        query, key = attn.norm_q(heads[0]), attn.norm_k(heads[1])
        assert freqs_cis is not None
        turn = freqs_cis.unsqueeze(2)
        with torch.autocast(hidden_states.device.type, enabled=False):
            query, key = (torch.view_as_real(
                torch.view_as_complex(part.float().unflatten(-1, (-1, 2))) * turn).flatten(3) for part in (query, key))
            mixed = F.scaled_dot_product_attention(
                query.transpose(1, 2), key.transpose(1, 2), heads[2].float().transpose(1, 2))
        out: Tensor = attn.to_out[0](mixed.transpose(1, 2).flatten(2).to(heads[2].dtype))
        return out


class Batched:
    """Runs `model` for batches; positions are worked out once for each size."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._turns: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = {}
        for block in [*model.noise_refiner, *model.context_refiner, *model.layers]:
            block.attention.set_processor(FullPrecisionAttention())

    def __call__(self, latents: Tensor, time: Tensor, features: Tensor, lengths: Tensor) -> Tensor:
        """The velocity, [batch, channels, h, w] like `latents`.

        `time` is 1 - sigma, [batch]. `features`: the captions' hidden states, [batch, tokens, width], filled up to a
        multiple of 32 tokens; `lengths`: the tokens that count of each, [batch].
        """
        model = self.model
        batch, channels, height, width = latents.shape
        h, w, tokens = height // 2, width // 2, features.shape[1]
        modulation = model.t_embedder(time * model.t_scale).type_as(latents)
        patches = latents.view(batch, channels, h, 2, w, 2).permute(0, 2, 4, 3, 5, 1)
        picture = model.all_x_embedder["2-1"](patches.reshape(batch, h * w, 4 * channels))
        pad = -picture.shape[1] % _BLOCK
        if pad:
            picture = torch.cat([picture, model.x_pad_token.to(picture.dtype).expand(batch, pad, -1)], 1)
        caption_turns, picture_turns = self._positions(tokens, h, w, latents.device)
        caption_turns, picture_turns = caption_turns.expand(batch, -1, -1), picture_turns.expand(batch, -1, -1)
        for block in model.noise_refiner:
            picture = block(picture, None, picture_turns, modulation)
        caption = model.cap_embedder(features)
        beyond = torch.arange(tokens, device=latents.device) >= lengths[:, None]
        caption = torch.where(beyond[..., None], model.cap_pad_token.to(caption.dtype), caption)
        for block in model.context_refiner:
            caption = block(caption, None, caption_turns)
        both, turns = torch.cat([picture, caption], 1), torch.cat([picture_turns, caption_turns], 1)
        for block in model.layers:
            both = block(both, None, turns, modulation)
        out: Tensor = model.all_final_layer["2-1"](both[:, :h * w], c=modulation)
        return out.view(batch, h, w, 2, 2, channels).permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, height, width)

    def _positions(self, tokens: int, h: int, w: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Rotations of the caption at (1.., 0, 0), and of the picture at (tokens + 1, y, x) with its padding at 0."""
        key = tokens, h, w
        if key not in self._turns:
            grid = self.model.create_coordinate_grid
            caption = grid((tokens, 1, 1), (1, 0, 0)).flatten(0, 2)
            picture = grid((1, h, w), (tokens + 1, 0, 0)).flatten(0, 2)
            padding = picture.new_zeros(-(h * w) % _BLOCK, 3)
            turn = self.model.rope_embedder
            self._turns[key] = turn(caption.to(device))[None], turn(torch.cat([picture, padding]).to(device))[None]
        return self._turns[key]
