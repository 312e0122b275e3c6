"""Pictures to latents and back: the VAE at both ends of a render."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from studio.render.compiling import FAILURES
from studio.render.levers import OFF, Lever, why
from studio.render.memory import TILE, out_of_memory

#: Largest difference of the two mid-block attentions, relative to the norm, in fp32 and in bf16.
_EXACT = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
#: Bytes of attention scores held at a time: 16384 positions at 1024 x 1024 px would take 1.1 GB.
_SCORES = 256 * 2**20
#: Latent cells a side of the picture that the fast way is tried and compiled with. Compiling with 128 took 65 s instead
#: of 37 s on an H100 and decoded 1024 x 1024 px in 47 ms instead of 51 ms.
_PROBE = 16


class Decoder:
    """Turns latents [1, channels, h, w], fp32 as the samplers hold them, into pictures, and pictures into latents.

    On a GPU the decoder is compiled (channels last, which pays only then: GroupNorm alone is slower
    that way) and its one attention is two matrix products: its single head of 512 is too wide for
    the flash kernels. `levers` says what became of "vae" and "uint8".
    """

    def __init__(self, vae: AutoencoderKL, *, fast: bool = True, uint8: bool = True) -> None:
        self._vae: Any = vae
        #: Pixels of a picture for each latent cell.
        self.factor = int(2 ** (len(vae.config.block_out_channels) - 1))
        self._uint8 = uint8
        self._pinned: Tensor | None = None
        self._stock: list[tuple[Any, Any]] = []  # attentions with the processors they had
        self.levers: dict[str, Lever] = {}
        on_gpu = self._vae.device.type == "cuda"
        if not fast:
            self.levers["vae"] = Lever(False, OFF)
        elif not on_gpu:
            self.levers["vae"] = Lever(False, "pays on a GPU only")
        else:
            self._speed_up()
        if not uint8:
            self.levers["uint8"] = Lever(False, OFF)
        else:
            self.levers["uint8"] = Lever(True, "a quarter of the bytes, through pinned memory" if on_gpu
                                         else "rounded in place; a CPU has nothing to copy")

    @torch.no_grad()
    def picture(self, latents: Tensor, *, tiled: bool = False) -> Image.Image:
        """The RGB picture of finished latents; `tiled` takes less memory and may show seams of a level or two."""
        if not self._uint8:
            return _on_host(self._decode(latents, tiled))
        return self._image(self.pixels(latents, tiled=tiled))

    @torch.no_grad()
    def pixels(self, latents: Tensor, *, tiled: bool = False) -> Tensor:
        """The picture as uint8 [height, width, 3] on the latents' device."""
        picture = self._decode(latents, tiled)[0].float()
        rounded: Tensor = picture.mul(127.5).add_(127.5).round_().clamp_(0, 255).to(torch.uint8)
        return rounded.permute(1, 2, 0)

    @torch.no_grad()
    def latents(self, image: Image.Image, *, tiled: bool = False) -> Tensor:
        """The latents of an RGB picture whose sides are multiples of `factor`: the mode, not a sample."""
        return self.encode(to_pixels(image), tiled=tiled)

    @torch.no_grad()
    def encode(self, pixels: Tensor, *, tiled: bool = False) -> Tensor:
        """The latents, fp32, of pixels [1, 3, height, width] in -1..1."""
        config = self._vae.config
        with self._tiling(tiled):
            found: Tensor = self._vae.encode(pixels.to(self._vae.device, self._vae.dtype)).latent_dist.mode()
        latents: Tensor = ((found - config.shift_factor) * config.scaling_factor).float()
        return latents

    def _decode(self, latents: Tensor, tiled: bool) -> Tensor:
        config = self._vae.config
        cells = (latents / config.scaling_factor + config.shift_factor).to(self._vae.dtype)
        with self._tiling(tiled):
            try:
                picture: Tensor = self._vae.decode(cells, return_dict=False)[0]
            except FAILURES as error:
                self._slow_down(why(error))
                picture = self._vae.decode(cells, return_dict=False)[0]
        return picture

    @contextmanager
    def _tiling(self, on: bool) -> Iterator[None]:
        vae = self._vae
        if not on:
            yield
            return
        own = vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size
        # Its own tiles are as large as the picture it was trained on: they save nothing below 1024 px.
        vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size = True, TILE, TILE // self.factor
        try:
            yield
        finally:
            vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size = own

    def _image(self, pixels: Tensor) -> Image.Image:
        if pixels.device.type != "cuda":
            return to_image(pixels)
        # Pinned memory is dear to get: it is kept. Pillow copies out of it.
        if self._pinned is None or self._pinned.shape != pixels.shape:
            self._pinned = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
        self._pinned.copy_(pixels.contiguous(), non_blocking=True)
        torch.cuda.current_stream(pixels.device).synchronize()
        return Image.fromarray(self._pinned.numpy())

    def _speed_up(self) -> None:
        """Compile the decoder and exchange its attention, if that gives the same picture."""
        decoder = self._vae.decoder
        generator = torch.Generator().manual_seed(0)
        shape = (1, self._vae.config.latent_channels, _PROBE, _PROBE)
        cells = torch.randn(shape, generator=generator).to(self._vae.device, self._vae.dtype)
        with torch.no_grad():
            wanted = decoder(cells).float()
            self._stock = use_products(decoder)
            decoder.to(memory_format=torch.channels_last)
            # Sizes are many and the decoder is large: one compilation for all of them.
            decoder.compile(dynamic=True)
            try:
                found = decoder(cells).float()
            except (*FAILURES, RuntimeError) as error:
                if out_of_memory(error):
                    raise
                self._slow_down(why(error))
                return
        apart = float((found - wanted).norm() / wanted.norm())
        if not apart <= _EXACT.get(self._vae.dtype, 0.0):  # NaN is not
            self._slow_down(f"the compiled decoder differs by {apart:.1e}")
            return
        self.levers["vae"] = Lever(True, "compiled, with attention as matrix products")

    def _slow_down(self, reason: str) -> None:
        decoder = self._vae.decoder
        decoder._compiled_call_impl = None  # what nn.Module.compile sets; there is no public way back
        decoder.to(memory_format=torch.contiguous_format)
        for attention, processor in self._stock:
            attention.set_processor(processor)
        self.levers["vae"] = Lever(False, f"as diffusers has it: {reason}")


class Products:
    """A diffusers attention processor: attention of one wide head as two matrix products, in parts that fit.

    Scores and softmax are fp32, as in the kernels it stands for.
    """

    # How many parts depends on the size, and three kernels gain nothing from compiling.
    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch leaves it untyped
    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: None = None, attention_mask: None = None,
        temb: None = None,
    ) -> Tensor:
        """hidden_states: [batch, channels, height, width]. The others are always None in a VAE."""
        batch, channels, height, width = hidden_states.shape
        flat = attn.group_norm(hidden_states.reshape(batch, channels, -1)).transpose(1, 2)
        q, keys, values = attn.to_q(flat), attn.to_k(flat).transpose(1, 2), attn.to_v(flat)
        rows = max(1, _SCORES // (4 * batch * flat.shape[1]))
        out = torch.cat([self._part(part, keys, values) for part in q.split(rows, dim=1)], dim=1)
        out = attn.to_out[0](out).transpose(1, 2).reshape(batch, channels, height, width)
        found: Tensor = (out + hidden_states) / attn.rescale_output_factor
        return found

    @staticmethod
    def _part(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        scale = q.shape[-1] ** -0.5
        if q.is_cuda and q.dtype != torch.float32:
            scores = torch.bmm(q, keys, out_dtype=torch.float32)
        else:
            scores = torch.bmm(q, keys).float()
        return torch.bmm(torch.softmax(scores * scale, dim=-1).to(values.dtype), values)


def use_products(decoder: Any) -> list[tuple[Any, Any]]:
    """Give the mid block's attentions of one head the processor `Products`; return each with the one it had."""
    before = []
    for attention in decoder.mid_block.attentions:
        if attention is not None and attention.heads == 1 and attention.spatial_norm is None:
            before.append((attention, attention.processor))
            attention.set_processor(Products())
    return before


def to_image(pixels: Tensor) -> Image.Image:
    """uint8 [height, width, 3] as an RGB image."""
    return Image.fromarray(pixels.contiguous().cpu().numpy())


def to_pixels(image: Image.Image) -> Tensor:
    """An RGB image as fp32 [1, 3, height, width] in -1..1."""
    width, height = image.size
    flat = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8)
    return (flat.view(1, height, width, 3).permute(0, 3, 1, 2).float() / 127.5) - 1


def to_mask(image: Image.Image, *, rows: int, columns: int) -> Tensor:
    """A mask picture as fp32 [1, 1, rows, columns] of 0 and 1 (white, painted anew), one value a latent cell.

    The nearest pixel decides, as in diffusers' inpainting pipelines.
    """
    width, height = image.size
    flat = torch.frombuffer(bytearray(image.convert("L").tobytes()), dtype=torch.uint8).view(1, 1, height, width)
    cells = torch.nn.functional.interpolate((flat >= 128).float(), size=(rows, columns), mode="nearest")
    return cells


def _on_host(picture: Tensor) -> Image.Image:
    """Rounded as diffusers does: floats to main memory, then numpy."""
    pixels = (picture[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().float().numpy()
    return Image.fromarray((pixels * 255).round().astype("uint8"))
