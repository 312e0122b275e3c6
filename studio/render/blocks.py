"""The transformer's blocks with fused projections, sharing the weights of the diffusers model they are made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: q, k, v -> attended values; all [batch, tokens, heads, head_dim].
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
Rope = tuple[Tensor, Tensor]


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention by torch, which picks the kernel."""
    return F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)


class Projection(nn.Module):
    """One or several bias-free linear layers of the checkpoint as a single product, plus what LoRAs add.

    `parts` maps each layer's name in the checkpoint to its rows (start, stop) of the output. The
    layers' own weights become views of the stacked matrix, so that nothing is held twice.
    """

    def __init__(self, layers: dict[str, nn.Linear]) -> None:
        super().__init__()
        self.parts: dict[str, tuple[int, int]] = {}
        stop = 0
        for name, layer in layers.items():
            start, stop = stop, stop + layer.out_features
            self.parts[name] = (start, stop)
        first = next(iter(layers.values()))
        self.base = nn.Linear(first.in_features, stop, bias=False, device="meta")
        stacked = first.weight if len(layers) == 1 else torch.cat([layer.weight for layer in layers.values()])
        self.base.weight = nn.Parameter(stacked.detach(), requires_grad=False)
        for layer, (start, stop) in zip(layers.values(), self.parts.values(), strict=True):
            layer.weight = nn.Parameter(self.base.weight.detach()[start:stop], requires_grad=False)
        self._sources = list(layers.values())
        self.down: Tensor | None = None  # [rank, in]
        self.up: Tensor | None = None  # [out, rank]

    def adapt(self, down: Tensor | None, up: Tensor | None) -> None:
        """Add `up @ down @ x` to the output from now on; None and None: nothing, exactly as before."""
        self.down, self.up = down, up

    def release(self) -> None:
        """Take the weights from the checkpoint's own layers: after `base` got others, they alone would keep them."""
        for layer in self._sources:
            layer.weight = nn.Parameter(layer.weight.to("meta"), requires_grad=False)
        self._sources.clear()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        if self.down is not None and self.up is not None:
            y = y + F.linear(F.linear(x, self.down), self.up)
        return y


def rotate(x: Tensor, rope: Rope) -> Tensor:
    """Rotary position embedding of neighbouring pairs, computed in fp32. x: [batch, tokens, heads, head_dim]."""
    cos, sin = rope
    a, b = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2).to(x.dtype)


class Block(nn.Module):
    """A diffusers ZImageTransformerBlock, the same arithmetic with fewer and larger products."""

    def __init__(self, block: Any, name: str, attend: Attend) -> None:
        """`name` is the block's own in the checkpoint, such as `layers.0`."""
        super().__init__()
        attention, ffn = block.attention, block.feed_forward
        self.heads = int(attention.heads)
        self.attend = attend
        self.qkv = Projection({f"{name}.attention.to_{x}": getattr(attention, f"to_{x}") for x in "qkv"})
        self.out = Projection({f"{name}.attention.to_out.0": attention.to_out[0]})
        self.w13 = Projection({f"{name}.feed_forward.{x}": getattr(ffn, x) for x in ("w1", "w3")})
        self.w2 = Projection({f"{name}.feed_forward.w2": ffn.w2})
        self.norm_in: Any = block.attention_norm1
        self.norm_out: Any = block.attention_norm2
        self.ffn_norm_in: Any = block.ffn_norm1
        self.ffn_norm_out: Any = block.ffn_norm2
        self.norm_q: Any = attention.norm_q
        self.norm_k: Any = attention.norm_k
        self.modulation: Any = getattr(block, "adaLN_modulation", None)

    def modulations(self, embedded: Tensor) -> Tensor:
        """Scales and gates for times [steps, width]: [steps, 4, 1, 1, dim]."""
        scale, gate, ffn_scale, ffn_gate = self.modulation(embedded).chunk(4, dim=-1)
        found = torch.stack((1.0 + scale, gate.tanh(), 1.0 + ffn_scale, ffn_gate.tanh()), dim=1)
        return found[:, :, None, None, :]

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mod: Tensor | None = None) -> Tensor:
        """x: [batch, tokens, dim]; cos and sin: [1, tokens, 1, head_dim / 2]; mod: one step's `modulations`."""
        batch, tokens, dim = x.shape
        h = _norm(x, self.norm_in)
        if mod is not None:
            h = h * mod[0]
        q, k, v = self.qkv(h).view(batch, tokens, 3, self.heads, -1).unbind(2)
        q, k = rotate(_norm(q, self.norm_q), (cos, sin)), rotate(_norm(k, self.norm_k), (cos, sin))
        h = _norm(self.out(self.attend(q, k, v).reshape(batch, tokens, dim)), self.norm_out)
        x = x + (h if mod is None else mod[1] * h)
        h = _norm(x, self.ffn_norm_in)
        if mod is not None:
            h = h * mod[2]
        gate, up = self.w13(h).chunk(2, dim=-1)
        h = _norm(self.w2(F.silu(gate) * up), self.ffn_norm_out)
        return x + (h if mod is None else mod[3] * h)


def _norm(x: Tensor, norm: Any) -> Tensor:
    if norm is None:
        return x
    return F.rms_norm(x, (x.shape[-1],), norm.weight, norm.eps)
