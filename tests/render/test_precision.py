from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import ZImageTransformer2DModel

from studio.domain.errors import ModelUnusable
from studio.render.fused import FusedTransformer
from studio.render.memory import predict
from studio.render.precision import TIGHT, Z_IMAGE, Card, Choice, Weights, choose, quantise
from tests.render.conftest import DEMO

GB = 10**9
RESERVE = 2 * 2**30


def card(name: str, capability: tuple[int, int] | None, gigabytes: float) -> Card:
    total = int(gigabytes * GB)
    return Card(name, capability, total, total - GB // 2 if capability else total)


H100 = card("H100", (9, 0), 85)
H200 = card("H200", (9, 0), 150)
H800 = card("H800", (9, 0), 85)
L20 = card("L20", (8, 9), 51)
A100 = card("A100", (8, 0), 42)
RTX_4090 = card("RTX 4090", (8, 9), 25.3)
RTX_4080 = card("RTX 4080", (8, 9), 16.9)
RTX_3060 = card("RTX 3060", (8, 6), 12.6)
V100_32 = card("V100 32 GB", (7, 0), 34.1)
V100_16 = card("V100", (7, 0), 16.9)
T4 = card("T4", (7, 5), 15.8)
CPU = card("CPU x86_64", None, 68)


def chosen(wanted: str, on: Card, default: str = "") -> Choice:
    return choose(wanted, default, on, Z_IMAGE, reserve=RESERVE)


@pytest.mark.parametrize(("on", "default", "precision", "dtype", "offload"), [
    (H100, "", "bf16", torch.bfloat16, False),
    (H800, "", "bf16", torch.bfloat16, False),
    (H200, "bf16", "bf16", torch.bfloat16, False),
    (H200, "fp8", "fp8", torch.bfloat16, False),
    (L20, "fp8", "fp8", torch.bfloat16, False),
    (A100, "fp8", "bf16", torch.bfloat16, False),
    (A100, "int8", "int8", torch.bfloat16, False),
    (RTX_4090, "", "bf16", torch.bfloat16, True),
    (RTX_4090, "fp8", "fp8", torch.bfloat16, False),
    (RTX_4080, "", "bf16", torch.bfloat16, True),
    (RTX_4080, "fp8", "fp8", torch.bfloat16, True),
    (V100_32, "", "fp32", torch.float32, True),
    (V100_32, "bf16", "fp32", torch.float32, True),
    (T4, "int8wo", "int8wo", torch.float32, True),
    (CPU, "", "fp32", torch.float32, False),
    (CPU, "fp8", "fp32", torch.float32, False),
])
def test_auto(on: Card, default: str, precision: str, dtype: torch.dtype, offload: bool) -> None:
    found = chosen("auto", on, default)
    assert (found.precision, found.dtype, found.offload_text_encoder) == (precision, dtype, offload)
    assert found.reason


@pytest.mark.parametrize("on", [H100, H200, L20, A100, RTX_4090, V100_32, CPU])
def test_auto_never_takes_a_gated_precision_by_itself(on: Card) -> None:
    assert chosen("auto", on).precision in ("bf16", "fp32")


@pytest.mark.parametrize(("wanted", "on", "dtype"), [
    ("fp8", H100, torch.bfloat16), ("fp32", H100, torch.float32), ("int8", A100, torch.bfloat16),
    ("int8wo", T4, torch.float32), ("int8", CPU, torch.float32), ("int8wo", CPU, torch.float32),
    ("bf16", CPU, torch.bfloat16),
])
def test_a_wish_is_granted_where_it_is_possible(wanted: str, on: Card, dtype: torch.dtype) -> None:
    found = chosen(wanted, on)
    assert (found.precision, found.dtype) == (wanted, dtype)


@pytest.mark.parametrize(("wanted", "on", "words"), [
    ("fp8", A100, "compute capability 8.9 .Ada., and this card has 8.0"),
    ("bf16", V100_32, "compute capability 8.0 .Ampere., and this card has 7.0"),
    ("bf16", T4, "has 7.5"),
    ("int8", V100_16, "has 7.0"),
    ("fp8", CPU, "A CPU can't run this model in fp8"),
    ("fp16", H100, "is not a precision"),
])
def test_an_impossible_wish_is_refused_with_the_reason(wanted: str, on: Card, words: str) -> None:
    with pytest.raises(ModelUnusable, match=words):
        chosen(wanted, on)


@pytest.mark.parametrize(("on", "wanted", "instead"), [
    (RTX_3060, "auto", "int8"), (T4, "auto", "int8wo"), (V100_16, "auto", "int8wo"),
])
def test_too_little_memory_names_what_fits(on: Card, wanted: str, instead: str) -> None:
    with pytest.raises(ModelUnusable, match=r"needs \d+\.\d GB in (bf16|fp32)") as caught:
        chosen(wanted, on)
    assert caught.value.params["instead"] == instead and "MODEL_PRECISION" in caught.value.hint


def test_where_nothing_fits_nothing_is_named() -> None:
    with pytest.raises(ModelUnusable) as caught:
        chosen("auto", card("old", (6, 1), 6))
    assert "another device" in caught.value.hint


def test_what_is_on_the_card() -> None:
    weights = Weights(transformer=100, text_encoder=50, vae=5, quantisable=90)
    assert weights.resident("bf16", 2, offload=False) == 310
    assert weights.resident("fp8", 2, offload=False) == 90 + 2 * (10 + 50 + 5)
    assert weights.resident("fp32", 4, offload=True) == 420


def test_this_machine_is_a_card() -> None:
    found = Card.of(torch.device("cpu"))
    assert found.capability is None and 0 < found.free <= found.total


@pytest.fixture
def transformer() -> Any:
    return ZImageTransformer2DModel.from_pretrained(DEMO / "transformer", torch_dtype=torch.float32).eval()


def velocity(model: FusedTransformer) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    caption = torch.randn((20, model.config.cap_feat_dim), generator=generator)
    latents = torch.randn((1, model.channels, 8, 8), generator=generator)
    return model.velocity(latents, model.prepare([caption], rows=4, columns=4, times=torch.tensor([0.3])), 0)


@pytest.mark.parametrize(("precision", "error"), [("int8wo", 0.02), ("int8", 0.05)])
def test_quantised_steps_are_close_to_the_exact_ones(transformer: Any, precision: str, error: float) -> None:
    model = FusedTransformer(transformer)
    exact = velocity(model)
    held = weakref.ref(model.layers[0].qkv.base.weight)  # type: ignore[union-attr]
    assert quantise(model, precision, model.device) == 4 * len(model.blocks())
    found = velocity(model)
    assert 0 < float((found - exact).norm() / exact.norm()) < error
    gc.collect()
    assert held() is None
    kept = transformer.layers[0].attention.to_q.weight
    dim = model.config.dim
    assert kept.is_meta and kept.shape == (dim, dim)  # the checkpoint's layer holds no memory


@pytest.mark.parametrize("precision", ["int8wo", "int8"])
def test_loras_work_on_quantised_weights(transformer: Any, precision: str) -> None:
    model = FusedTransformer(transformer)
    quantise(model, precision, model.device)
    plain = velocity(model)
    projection = model.projections()[-1]
    width = projection.base.in_features
    projection.adapt(torch.ones(2, width) * 0.1, torch.ones(projection.base.out_features, 2) * 0.1)
    assert not torch.equal(velocity(model), plain)
    projection.adapt(None, None)
    assert torch.equal(velocity(model), plain)


def test_exact_precisions_change_nothing_and_fp8_needs_a_gpu(transformer: Any) -> None:
    model = FusedTransformer(transformer)
    exact = velocity(model)
    assert quantise(model, "fp32", model.device) == quantise(model, "bf16", model.device) == 0
    assert torch.equal(velocity(model), exact)
    with pytest.raises(ModelUnusable, match="CPU can't run"):
        quantise(model, "fp8", model.device)




def test_a_card_of_16_gb_has_room_for_a_picture_beside_the_weights() -> None:
    """1024 x 1024 px, decoded in tiles, in what is left when the text encoder stays in main memory."""
    found = chosen("auto", RTX_4080)
    left = RTX_4080.free - RESERVE - Z_IMAGE.resident("bf16", 2, offload=True)
    config, vae = SimpleNamespace(dim=3840), SimpleNamespace(block_out_channels=[128, 256, 512, 512])
    need = predict(config, vae, 1024, 1024, 2)
    assert found.offload_text_encoder and "in tiles" in found.reason
    assert max(need.denoise, need.decode_tiled) <= TIGHT <= left
