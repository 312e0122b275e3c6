"""The Union ControlNet of Z-Image, versions 1, 2.0 and 2.1, on the fused transformer's own blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import ZImageControlNetModel
from torch import Tensor, nn
from torch.nn import functional as F

from studio.domain.errors import ModelUnusable
from studio.domain.guides import Weights
from studio.domain.i18n import gettext_noop as _
from studio.render import keys, tensors
from studio.render.blocks import Attend, Block, Rope
from studio.render.fused import PATCH, FusedTransformer, Plan, pad, patchify
from studio.render.tensors import Stored

_EMBEDDER = f"control_all_x_embedder.{PATCH}-1"
_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "control_model.", "controlnet.")
_REFINER, _LAYERS = "control_noise_refiner.", "control_layers."


class ControlBlock(nn.Module):
    """A transformer block of the control branch: its output also goes, projected, to the main one."""

    def __init__(self, block: Any, name: str, attend: Attend) -> None:
        super().__init__()
        self.block = Block(block, name, attend)
        self.before: Any = getattr(block, "before_proj", None)
        self.after: Any = block.after_proj


class ControlNet(nn.Module):
    """A loaded ControlNet that shares embedders, refiner and positions with one FusedTransformer.

    `version` is "1", "2.0" or "2.1".
    """

    def __init__(self, network: ZImageControlNetModel, version: str, model: FusedTransformer) -> None:
        super().__init__()
        blocks = [block for block in model.layers if isinstance(block, Block)]
        attend = blocks[0].attend
        self.version = version
        self.takes_mask = version != "1"
        self.channels = int(network.control_in_dim)
        self.places: tuple[int, ...] = tuple(network.control_layers_places)
        self.refiner_places: tuple[int, ...] = tuple(network.control_refiner_layers_places or ())
        self.embedder: Any = network.control_all_x_embedder[f"{PATCH}-1"]
        self.layers = nn.ModuleList(
            ControlBlock(block, f"{_LAYERS}{i}", attend) for i, block in enumerate(network.control_layers))
        kind: type[Block] | type[ControlBlock] = Block if version == "1" else ControlBlock
        self.refiner = nn.ModuleList(
            kind(block, f"{_REFINER}{i}", attend) for i, block in enumerate(network.control_noise_refiner or ()))
        self._shared = (model,)  # in a tuple: not a submodule

    def blocks(self) -> list[Block]:
        """The blocks that run in every step, in the order of their modulations: refiner, then layers."""
        return [block for module in (self.refiner, self.layers) for block in module.modules()
                if isinstance(block, Block)]

    def context(
        self, control: Tensor, *, mask: Tensor | None = None, masked_latents: Tensor | None = None,
    ) -> Tensor:
        """What `prepare` takes, [1, channels, h, w], from the latents of a control map [1, in_channels, h, w].

        To paint a part anew: `mask` [1, 1, height, width] in pixels, 1 where it is painted, and
        `masked_latents` [1, in_channels, h, w] of the picture with that part at 0 (grey). Version 1 has
        no inputs for them (`takes_mask`) and leaves them out: the picture then follows the map alone.
        """
        if not self.takes_mask:
            return control
        if mask is None or masked_latents is None:
            rest = control.new_zeros(len(control), self.channels - control.shape[1], *control.shape[2:])
            return torch.cat((control, rest), dim=1)
        kept = 1 - (mask >= 0.5).to(control.dtype)
        kept = F.interpolate(kept, size=control.shape[-2:], mode="nearest")
        return torch.cat((control, kept, masked_latents.to(control.dtype)), dim=1)

    @torch.no_grad()
    def prepare(self, context: Tensor, plan: Plan, scale: float) -> ControlHints:
        """What the ControlNet adds to a picture planned by `plan`, from a `context` at `scale`.

        Raises ValueError for a context of other channels or another size than the plan's.
        """
        model = self._shared[0]
        wanted = (self.channels, plan.rows * PATCH, plan.columns * PATCH)
        if tuple(context.shape[1:]) != wanted:
            raise ValueError(f"the context is {tuple(context.shape[1:])}, not {wanted}")
        start = pad(self.embedder(patchify(context.to(model.device, model.dtype))), model.x_pad)
        if self.takes_mask:
            start = self.refining[0].before(start)
        mods = torch.stack([block.modulations(plan.embedded) for block in self.blocks()], dim=1)
        return ControlHints(self, start, mods, scale)

    @property
    def control_layers(self) -> list[ControlBlock]:
        """The blocks that run beside the model's layers."""
        return [block for block in self.layers if isinstance(block, ControlBlock)]

    @property
    def refining(self) -> list[ControlBlock]:
        """Those that run beside the noise refiner; version 2.0 uses its layers there too, version 1 has none."""
        found = [block for block in self.refiner if isinstance(block, ControlBlock)]
        return found if found or not self.takes_mask else self.control_layers


@dataclass(slots=True)
class ControlHints:
    """A `studio.render.fused.Hints` for one picture.

    `start` [1 or batch, image tokens padded, dim]: the embedded context, in versions 2 with the first
    projection; `mods` [steps, blocks, 4, 1, 1, dim].
    """

    net: ControlNet
    start: Tensor
    mods: Tensor
    scale: float

    @torch.no_grad()
    def hints(self, x: Tensor, model: FusedTransformer, plan: Plan, step: int) -> dict[int, Tensor]:
        """By layer: what is added to its output [batch, all tokens, dim]. x: the embedded picture."""
        net, mods = self.net, self.mods[step]
        count = len(net.refiner)
        c = self.start.expand(len(x), -1, -1)
        added: dict[int, Tensor] = {}
        if net.takes_mask:
            own = mods[:count] if count else mods
            c, skips = _run(net.refining, c + x, plan.rope_image, own, len(net.refiner_places))
            added = dict(zip(net.refiner_places, skips, strict=True))
        else:
            for block, mod in zip(net.refiner, mods, strict=False):
                c = block(c, *plan.rope_image, mod)
        for index, block in enumerate(model.refiner):
            x = block(x, *plan.rope_image, plan.mods[step][index])
            if index in added:
                x = x + added[index] * self.scale
        caption = plan.caption.expand(len(x), -1, -1)
        x, c = torch.cat((x, caption), dim=1), torch.cat((c, caption), dim=1)
        c = net.control_layers[0].before(c) + x
        _c, skips = _run(net.control_layers, c, plan.rope_all, mods[count:], len(net.places))
        return {place: skip * self.scale for place, skip in zip(net.places, skips, strict=True)}


def load(weights: Weights, model: FusedTransformer) -> ControlNet:
    """The ControlNet in a safetensors file, or in a folder in diffusers layout, for `model`.

    Its version and its number of layers are found in the file; the layers are spread evenly over the
    model's. Raises ModelUnusable, naming file and tensor, for a file that is damaged, no ControlNet
    of Z-Image, or made for another model.
    """
    path = weights.path
    tensors.stamp(weights)
    files = tensors.files_in(path) if path.is_dir() else [path]
    found = tensors.placed(tensors.listed(*files), lambda key: keys.transformer(keys.without(key, _PREFIXES)))
    version = _version(found, path, model.channels)
    if version == "2.0":
        # Later 2.0 files carry an untrained refiner, which it does not use.
        found = {name: one for name, one in found.items() if not name.startswith(_REFINER)}
    config = model.config
    count = len({name.split(".")[1] for name in found if name.startswith(_LAYERS)})
    # Version 2.0 takes the refiner's hints from its first layers.
    if not count or config.n_layers % count or (version == "2.0" and count < config.n_refiner_layers):
        raise ModelUnusable(
            _("%(path)s has %(count)d control layers, which can't be spread evenly over the model's %(layers)d."),
            path=path, count=count, layers=config.n_layers)
    with init_empty_weights():
        network = ZImageControlNetModel(
            control_layers_places=list(range(0, config.n_layers, config.n_layers // count)),
            control_refiner_layers_places=None if version == "1" else list(range(config.n_refiner_layers)),
            control_in_dim=_channels(model.channels, version),
            add_control_noise_refiner={"1": None, "2.0": "control_layers", "2.1": "control_noise_refiner"}[version],
            dim=config.dim, n_refiner_layers=config.n_refiner_layers, n_heads=config.n_heads,
            n_kv_heads=config.n_kv_heads, norm_eps=config.norm_eps, qk_norm=config.qk_norm,
        )
    tensors.fill(network, found, path, model.device, model.dtype)
    return ControlNet(network, version, model)


def _version(found: dict[str, Stored], path: Any, channels: int) -> str:
    embedder = found.get(f"{_EMBEDDER}.weight")
    if embedder is None:
        raise tensors.missing(path, f"{_EMBEDDER}.weight")
    width = embedder.shape[-1] if embedder.shape else 0
    if width == PATCH * PATCH * _channels(channels, "1"):
        return "1"
    if width != PATCH * PATCH * _channels(channels, "2.1"):
        raise tensors.wrong_shape(embedder, (*embedder.shape[:-1], PATCH * PATCH * _channels(channels, "2.1")))
    before = found.get(f"{_REFINER}0.before_proj.weight")
    if before is None:
        return "2.0"
    with tensors.Reader(torch.device("cpu")) as reader:
        return "2.1" if reader.read(before).any() else "2.0"


def _channels(channels: int, version: str) -> int:
    """Version 1 reads the map's latents; later ones also a mask and the latents of the masked picture."""
    return channels if version == "1" else 2 * channels + 1


def _run(
    blocks: list[ControlBlock], c: Tensor, rope: Rope, mods: Tensor, wanted: int,
) -> tuple[Tensor, list[Tensor]]:
    """c through control blocks, and what the first `wanted` of them give to the main branch."""
    skips: list[Tensor] = []
    for block, mod in zip(blocks, mods, strict=True):
        c = block.block(c, *rope, mod)
        if len(skips) < wanted:
            skips.append(block.after(c))
    return c, skips
