from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, ZImageTransformer2DModel
from torch import Tensor, nn

from benchmarks._render_models import TRANSFORMER, VAE
from studio.domain.errors import RenderError
from studio.render import memory
from studio.render.fused import PATCH, FusedTransformer, Plan
from studio.render.memory import MARGIN, Budget, Need, main_memory, out_of_memory, predict
from tests.render.conftest import DEMO, DEMO_CARD, SQUARE
from tests.render.live import peak

GB = 10**9
REAL = SimpleNamespace(**TRANSFORMER), SimpleNamespace(**VAE)


def test_live_bytes_are_counted() -> None:
    def run() -> None:
        first = torch.zeros(1000) + 1  # 8 kB while it is made
        second = first.view(10, 100) + 1
        del first
        second.exp_()

    assert peak(run) == 8000


def on_meta(cls: Any, config: dict[str, Any], dtype: torch.dtype) -> Any:
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            return cls(**config).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.empty_like(q)  # as a flash kernel: no scores in memory


def meta_plan(model: FusedTransformer, rows: int, columns: int, caption: int) -> Plan:
    def empty(*shape: int, dtype: torch.dtype = model.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    dim, half, blocks = model.config.dim, sum(model.config.axes_dims) // 2, len(model.blocks())
    image = rows * columns + -rows * columns % 32
    ropes = [(empty(1, n, 1, half, dtype=torch.float32),) * 2 for n in (image, image + caption)]
    return Plan(rows, columns, empty(1, caption, dim), ropes[0], ropes[1], empty(1, 256),
                empty(1, blocks, 4, 1, 1, dim), empty(1, 1, 1, dim))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("width", "height", "caption", "batch"), [
    (512, 512, 32, 1), (1024, 1024, 96, 1), (1024, 1024, 512, 2), (2048, 1152, 96, 1),
])
def test_a_full_size_step_takes_what_is_predicted(
    dtype: torch.dtype, width: int, height: int, caption: int, batch: int
) -> None:
    """Z-Image-Turbo's own sizes, counted without its weights."""
    model = FusedTransformer(on_meta(ZImageTransformer2DModel, TRANSFORMER | {"n_layers": 2}, dtype), attend=attend)
    plan = meta_plan(model, height // 16, width // 16, caption)
    latents = torch.empty((batch, 16, height // 8, width // 8), device="meta")
    found = peak(lambda: model.velocity(latents, plan, 0))
    needed = predict(*REAL, width, height, dtype.itemsize, batch=batch, caption=caption).denoise / MARGIN
    assert 0.95 <= found / needed <= 1.02


class NoScores:
    """Stands for an attention that holds no scores."""

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, attention_mask: Any = None,
        temb: Any = None,
    ) -> Tensor:
        return hidden_states + 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("width", "height"), [(512, 512), (1024, 1024), (2048, 1024)])
def test_both_ends_of_the_vae_take_what_is_predicted(dtype: torch.dtype, width: int, height: int) -> None:
    vae = on_meta(AutoencoderKL, VAE, dtype)
    for part in (vae.decoder, vae.encoder):
        part.mid_block.attentions[0].set_processor(NoScores())
    cells = torch.empty((1, 16, height // 8, width // 8), dtype=dtype, device="meta")
    pixels = torch.empty((1, 3, height, width), dtype=dtype, device="meta")
    needed = predict(*REAL, width, height, dtype.itemsize, encode=True).decode / MARGIN
    assert 0.98 <= peak(lambda: vae.decode(cells)) / needed <= 1.02
    assert peak(lambda: vae.encode(pixels)) <= needed


def test_tiles_take_what_is_predicted() -> None:
    vae = on_meta(AutoencoderKL, VAE, torch.bfloat16)
    vae.decoder.mid_block.attentions[0].set_processor(NoScores())
    vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size = True, memory.TILE, memory.TILE // 8
    cells = torch.empty((1, 16, 192, 192), dtype=torch.bfloat16, device="meta")
    needed = predict(*REAL, 1536, 1536, 2).decode_tiled / MARGIN
    assert 0.8 <= peak(lambda: vae.decode(cells)) / needed <= 1.02


def test_the_demo_model_on_this_machine_takes_what_is_predicted() -> None:
    transformer: nn.Module = ZImageTransformer2DModel.from_pretrained(DEMO / "transformer").eval()
    vae = AutoencoderKL.from_pretrained(DEMO / "vae").eval()
    model = FusedTransformer(transformer)
    rows, columns = SQUARE[1] // DEMO_CARD.multiple, SQUARE[0] // DEMO_CARD.multiple
    caption = torch.zeros(20, model.config.cap_feat_dim)
    plan = model.prepare([caption], rows=rows, columns=columns, times=torch.zeros(1))
    latents = torch.zeros((1, model.channels, rows * PATCH, columns * PATCH))
    needed = predict(model.config, vae.config, *SQUARE, 4, caption=32)
    assert peak(lambda: model.velocity(latents, plan, 0)) <= needed.denoise
    assert 0.98 <= peak(lambda: vae.decode(latents)) / (needed.decode / MARGIN) <= 1.02


def test_decoding_takes_the_most_and_grows_with_the_picture() -> None:
    small, large = (predict(*REAL, side, side, 2) for side in (1024, 2048))
    assert small.decode > small.denoise and large.decode == 4 * small.decode
    assert 1.9 * GB < small.decode < 2.2 * GB
    assert large.decode_tiled < large.decode / 5


NEED = Need(denoise=1 * GB, decode=4 * GB, decode_tiled=2 * GB)


@pytest.mark.parametrize(("free", "ok", "tiled"), [
    (9, True, False), (6, True, False), (5, True, True), (3, False, True),
])
def test_a_plan(free: int, ok: bool, tiled: bool) -> None:
    fit = Budget(80 * GB, free * GB, 2 * GB).plan(NEED)
    assert (fit.ok, fit.tile_decode) == (ok, tiled) and "GB" in fit.reason


def test_what_does_not_fit_is_refused_in_numbers() -> None:
    budget = Budget(16 * GB, 3 * GB, 2 * GB)
    words = r"2048 × 1024 px needs about 2\.0 GB of memory, and 1\.0 GB is free"
    with pytest.raises(RenderError, match=words) as caught:
        budget.require(NEED, 2048, 1024)
    assert "smaller format" in caught.value.hint
    assert Budget(16 * GB, 15 * GB, 0).require(NEED, 2048, 1024).ok


def test_main_memory_of_this_machine() -> None:
    total, free = main_memory()
    assert 0 < free <= total
    budget = Budget.of(torch.device("cpu"), 99 * GB)
    assert budget.reserve == memory.CPU_RESERVE  # the reserve is of GPU memory


@pytest.mark.parametrize(("error", "is_memory"), [
    (MemoryError(), True), (torch.OutOfMemoryError("CUDA out of memory"), True),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True), (RuntimeError("shape mismatch"), False),
])
def test_running_out_of_memory_is_recognised(error: BaseException, is_memory: bool) -> None:
    assert out_of_memory(error) is is_memory
