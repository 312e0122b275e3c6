"""Put LoRAs on a fused transformer and take them off again, without touching its weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from studio.domain.guides import MAX_LORAS, Lora
from studio.render import lorafile, tensors
from studio.render.blocks import Block, Projection
from studio.render.fused import PATCH, FusedTransformer
from studio.render.lorafile import Pair

#: Summed ranks are filled up with zeros to multiples of this: fast products, and few shapes to compile for.
_RANKS = 16
_EMBEDDER, _FINAL = f"all_x_embedder.{PATCH}-1", f"all_final_layer.{PATCH}-1"


@dataclass(frozen=True, slots=True)
class _Place:
    """A layer of the checkpoint: rows `start` to `stop` of `owner`'s output, from `width` inputs.

    `order`: of several names that a file gives to one place, the lowest counts.
    """

    name: str
    owner: Projection | nn.Linear
    start: int
    stop: int
    width: int
    order: int = 0


class LoraSet:
    """The LoRAs on one model. Layers are found under every name that trainers give them.

    Fused projections take the sum of all LoRAs as one stacked pair; the other linear layers
    (modulation, embedders, the last layer) take theirs in a hook. Nothing is merged into weights, so
    that `use(())` gives exactly the model's own output again.
    """

    def __init__(self, model: FusedTransformer) -> None:
        self._model = model
        self._places = _spellings(model)
        self._files: OrderedDict[tuple[tuple[Path, int, int], str], list[Pair]] = OrderedDict()
        self._hooks: list[RemovableHandle] = []
        self._active: tuple[object, ...] = ()
        self._adapted: frozenset[str] = frozenset()

    @property
    def active(self) -> tuple[object, ...]:
        """What is in use, for comparison: equal as long as the model computes the same."""
        return self._active

    @property
    def adapted(self) -> frozenset[str]:
        """Names of the checkpoint's layers that the LoRAs in use change."""
        return self._adapted

    @torch.no_grad()
    def use(self, loras: tuple[Lora, ...]) -> None:
        """Render with these LoRAs, and no other, from now on; () for the model alone. Before `prepare`.

        Raises ModelUnusable, naming file and tensor, for a file that can't be used with this model.
        The LoRAs in use before then stay.
        """
        files = [(tensors.stamp(lora.weights), lora.weights.sha256) for lora in loras]
        wanted = tuple((file, lora.weight) for file, lora in zip(files, loras, strict=True))
        if wanted == self._active:
            return
        added: dict[Projection | nn.Linear, list[tuple[_Place, Pair, float]]] = {}
        names: set[str] = set()
        for file, lora in zip(files, loras, strict=True):
            for place, pair in self._fit(self._read(file)):
                added.setdefault(place.owner, []).append((place, pair, lora.weight))
                names |= {part.name for part in self._layers(place)}
        stacks = {owner: self._stack(owner, parts) for owner, parts in added.items()}
        self._take_off()
        for owner, (down, up) in stacks.items():
            if isinstance(owner, Projection):
                owner.adapt(down, up)
            else:
                self._hooks.append(owner.register_forward_hook(_Added(down, up)))
        self._active, self._adapted = wanted, frozenset(names)

    def _take_off(self) -> None:
        for projection in self._model.projections():
            projection.adapt(None, None)
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _read(self, file: tuple[tuple[Path, int, int], str]) -> list[Pair]:
        pairs = self._files.pop(file, None) or lorafile.read(file[0][0])
        self._files[file] = pairs  # newest last
        while len(self._files) > MAX_LORAS:
            self._files.popitem(last=False)
        return pairs

    def _fit(self, pairs: list[Pair]) -> Iterator[tuple[_Place, Pair]]:
        """Each pair with its place, checked. Raises ModelUnusable."""
        found: dict[str, _Place] = {}
        for pair in sorted(pairs, key=lambda pair: self._order(pair.layer)):
            place = self._places.get(pair.layer)
            if place is None:
                raise tensors.unexpected(pair.source)
            rank = len(pair.down)
            if pair.down.shape[1] != place.width:
                raise tensors.wrong_shape(pair.source, (rank, place.width))
            if len(pair.up) != place.stop - place.start:
                raise tensors.wrong_shape(pair.source_up, (place.stop - place.start, rank))
            layers = {part.name for part in self._layers(place)}
            if twice := layers & found.keys():
                # Some trainers write the original's qkv and out beside diffusers' layers, the same again.
                if all(found[name].order < place.order for name in twice):
                    continue
                raise tensors.unexpected(pair.source)
            found |= dict.fromkeys(layers, place)
            yield place, pair

    def _order(self, layer: str) -> int:
        place = self._places.get(layer)
        return place.order if place else 0

    def _layers(self, place: _Place) -> list[_Place]:
        """The checkpoint's own layers of a place: three for a fused qkv, else one."""
        if not place.name.endswith(".qkv"):
            return [place]
        return [self._places[f"{place.name.removesuffix('qkv')}to_{x}"] for x in "qkv"]

    def _stack(self, owner: Projection | nn.Linear, parts: list[tuple[_Place, Pair, float]]) -> tuple[Tensor, Tensor]:
        """down [ranks, in] and up [out, ranks] whose product is the sum of all parts."""
        model = self._model
        ranks = sum(len(pair.down) for _place, pair, _weight in parts)
        ranks += -ranks % _RANKS
        linear = owner.base if isinstance(owner, Projection) else owner
        down = torch.zeros(ranks, linear.in_features, dtype=model.dtype, device=model.device)
        up = torch.zeros(linear.out_features, ranks, dtype=model.dtype, device=model.device)
        at = 0
        for place, pair, weight in parts:
            end = at + len(pair.down)
            down[at:end] = pair.down.to(model.device, model.dtype)
            scaled = pair.up.to(model.device, torch.float32) * (weight * pair.scale)
            up[place.start:place.stop, at:end] = scaled.to(model.dtype)
            at = end
        return down, up


class _Added:
    """A forward hook that adds a low-rank product to a linear layer's output."""

    def __init__(self, down: Tensor, up: Tensor) -> None:
        self._down, self._up = down, up

    def __call__(self, _module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + F.linear(F.linear(args[0].to(self._down.dtype), self._down), self._up)


def _places(model: FusedTransformer) -> Iterator[_Place]:
    """Every linear layer of the model by its name in the checkpoint, and each fused qkv."""
    for projection in model.projections():
        width = projection.base.in_features
        for name, (start, stop) in projection.parts.items():
            yield _Place(name, projection, start, stop, width)
        names = list(projection.parts)
        if names[0].endswith(".attention.to_q"):
            rows = projection.base.out_features
            yield _Place(f"{names[0].removesuffix('to_q')}qkv", projection, 0, rows, width, order=2)
    others = {
        "cap_embedder.1": model.cap_embedder[1], "t_embedder.mlp.0": model.t_embedder.mlp[0],
        "t_embedder.mlp.2": model.t_embedder.mlp[2], _EMBEDDER: model.embedder,
        f"{_FINAL}.linear": model.last.linear, f"{_FINAL}.adaLN_modulation.1": model.last.adaLN_modulation[1],
    }
    for list_name, blocks in (("noise_refiner", model.refiner), ("layers", model.layers)):
        for index, block in enumerate(blocks):
            if isinstance(block, Block):
                others[f"{list_name}.{index}.adaLN_modulation.0"] = block.modulation[0]
    for name, linear in others.items():
        yield _Place(name, linear, 0, linear.out_features, linear.in_features)


def _spellings(model: FusedTransformer) -> dict[str, _Place]:
    """The places by each name that files use: diffusers', the original's, and both with underscores for dots."""
    found: dict[str, _Place] = {}
    for place in _places(model):
        own = place.name
        names = {own: place.order, own.replace(".attention.to_", ".attention.to."): place.order}
        if own.endswith(".attention.to_out.0"):
            names |= dict.fromkeys((own.removesuffix(".0"), own.replace("to_out.0", "out")), 1)
        for ours, original in ((_EMBEDDER, "x_embedder"), (_FINAL, "final_layer")):
            if own.startswith(ours):
                names[original + own.removeprefix(ours)] = 1
        for name, order in names.items():
            spelled = _Place(own, place.owner, place.start, place.stop, place.width, order)
            found[name] = found[name.replace(".", "_")] = spelled
    return found
