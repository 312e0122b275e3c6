"""LoRAs: the same picture as diffusers' own loading, from every trainer's file, and gone without a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline
from torch import Tensor

from studio.domain.guides import MAX_LORAS, Lora, Weights
from studio.render import control, lora, lorafile
from studio.render.fused import FusedTransformer
from tests import tiny_files as files

ROWS, COLUMNS = 4, 6
TIME = torch.tensor([0.3])
#: Blocks of each kind, their modulation, the embedders and the last layer.
BLOCKS = files.block_layers("layers.0", "layers.3", "noise_refiner.1", "context_refiner.0")
OTHERS = (
    "layers.1.adaLN_modulation.0", "noise_refiner.0.adaLN_modulation.0", "cap_embedder.1", "t_embedder.mlp.0",
    "t_embedder.mlp.2", "all_x_embedder.2-1", "all_final_layer.2-1.linear", "all_final_layer.2-1.adaLN_modulation.1",
)


@pytest.fixture(scope="module")
def model() -> FusedTransformer:
    return FusedTransformer(files.transformer())


@pytest.fixture
def loras(model: FusedTransformer) -> Iterator[lora.LoraSet]:
    found = lora.LoraSet(model)
    yield found
    found.use(())


def latents() -> Tensor:
    return torch.randn(1, files.CHANNELS, 2 * ROWS, 2 * COLUMNS, generator=torch.Generator().manual_seed(5))


def caption() -> Tensor:
    return torch.randn(9, 24, generator=torch.Generator().manual_seed(3))


def output(model: FusedTransformer) -> Tensor:
    plan = model.prepare([caption()], rows=ROWS, columns=COLUMNS, times=TIME)
    return model.velocity(latents(), plan, 0)


@torch.no_grad()
def by_diffusers(*paths: Path, weights: tuple[float, ...] = (1.0,), context: Tensor | None = None) -> Tensor:
    """The transformer's output after diffusers loaded these LoRAs by itself; with a ControlNet for a `context`."""
    pipe = ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=AutoencoderKL(), text_encoder=None, tokenizer=None,
        transformer=files.transformer(),
    )
    names = [f"lora{index}" for index in range(len(paths))]
    for name, path in zip(names, paths, strict=True):
        pipe.load_lora_weights(str(path), adapter_name=name)
    pipe.set_adapters(names, list(weights))
    samples, inputs = None, ([latents()[0][:, None]], TIME, [caption()])
    if context is not None:
        samples = files.controlnet("2.1", pipe.transformer)(*inputs, [context[0][:, None]])
    found: Tensor = pipe.transformer(*inputs, controlnet_block_samples=samples)[0][0][:, 0]
    return found[None]


def tensors(layers: tuple[str, ...] = BLOCKS, **options: Any) -> files.Tensors:
    return files.lora(files.transformer(), layers, **options)


def written(path: Path, found: files.Tensors, metadata: dict[str, str] | None = None) -> Lora:
    return Lora(Weights(path.stem, files.save(found, path, metadata)))


def with_alphas(found: files.Tensors, alpha: float) -> files.Tensors:
    ends = (".lora_A.weight", ".lora_down.weight", ".lora.down.weight", ".lora_A.default.weight")
    bases = {key.removesuffix(end) for key in found for end in ends if key.endswith(end)}
    return found | {f"{base}.alpha": torch.tensor(alpha) for base in bases}


@pytest.mark.parametrize(("style", "alpha"), [
    # diffusers reads no alphas beside its own prefix.
    (style, alpha) for style in files.DIFFUSERS_STYLES for alpha in (None, 2.0)
    if not (alpha and style == "diffusers")])
def test_it_draws_what_diffusers_draws(
    tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet, style: str, alpha: float | None
) -> None:
    found = files.LORA_STYLES[style](tensors())
    if alpha:
        found = with_alphas(found, alpha)
    one = written(tmp_path / "one.safetensors", found)
    before = output(model)
    loras.use((one,))
    ours, theirs = output(model), by_diffusers(one.weights.path)
    assert torch.allclose(ours, theirs, atol=1e-4), (ours - theirs).abs().max()
    assert not torch.allclose(ours, before, atol=1e-2)
    assert loras.adapted == set(BLOCKS)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_several_with_weights_draw_what_diffusers_draws(
    tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet
) -> None:
    """Other ranks, layers in common and apart, one taken off instead of added."""
    kept = [
        written(tmp_path / f"{seed}.safetensors", files.LORA_STYLES["diffusers"](found))
        for seed, found in enumerate((
            tensors(rank=3), tensors(files.block_layers("layers.0", "layers.1"), rank=8, seed=4),
            tensors(OTHERS, rank=2, seed=5)))]
    weights = (0.8, -0.5, 1.3)
    loras.use(tuple(Lora(one.weights, weight) for one, weight in zip(kept, weights, strict=True)))
    ours, theirs = output(model), by_diffusers(*(one.weights.path for one in kept), weights=weights)
    assert torch.allclose(ours, theirs, atol=1e-4), (ours - theirs).abs().max()
    assert loras.adapted == {*BLOCKS, *files.block_layers("layers.1"), *OTHERS}


def test_a_controlnet_sees_them_as_diffusers_does(
    tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet
) -> None:
    """It shares the refiner and the embedders, which LoRAs change."""
    network = files.controlnet_tensors(files.controlnet("2.1", files.transformer()))
    net = control.load(Weights("Union", files.save(network, tmp_path / "control.safetensors")), model)
    one = written(tmp_path / "one.safetensors", files.LORA_STYLES["diffusers"](tensors((*BLOCKS, *OTHERS))))
    loras.use((one,))
    plan = model.prepare([caption()], rows=ROWS, columns=COLUMNS, times=TIME)
    context = net.context(latents().flip(-1))
    ours = model.velocity(latents(), plan, 0, net.prepare(context, plan, 1.0))
    assert torch.allclose(ours, by_diffusers(one.weights.path, context=context), atol=1e-4)


@pytest.mark.parametrize("layer", OTHERS)
def test_layers_that_are_not_fused_are_adapted_too(
    tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet, layer: str
) -> None:
    before = output(model)
    one = written(tmp_path / "one.safetensors", files.LORA_STYLES["diffusers"](tensors((layer,))))
    loras.use((one,))
    ours = output(model)
    assert not torch.allclose(ours, before, atol=1e-3)
    assert torch.allclose(ours, by_diffusers(one.weights.path), atol=1e-4)


@pytest.mark.parametrize("style", [style for style in files.LORA_STYLES if style != "diffusers"])
def test_every_trainers_file_draws_the_same(
    tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet, style: str
) -> None:
    found = tensors((*BLOCKS, *OTHERS))
    loras.use((written(tmp_path / "known.safetensors", files.LORA_STYLES["diffusers"](found)),))
    known = output(model)
    loras.use((written(tmp_path / "other.safetensors", files.LORA_STYLES[style](found)),))
    assert torch.equal(output(model), known)
    assert loras.adapted == {*BLOCKS, *OTHERS}


@pytest.mark.parametrize("style", ["original prefix", "kohya", "dots", "peft", "bare"])
def test_a_fused_qkv_draws_what_its_parts_draw(
    tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet, style: str
) -> None:
    found = tensors(shared=True)
    loras.use((written(tmp_path / "split.safetensors", files.LORA_STYLES["diffusers"](found)),))
    known = output(model)
    fused = files.LORA_STYLES[style](files.fused_qkv(found))
    assert any("qkv" in key for key in fused)
    loras.use((written(tmp_path / "fused.safetensors", with_alphas(fused, 4.0)),))
    assert torch.allclose(output(model), known, atol=1e-5)
    assert loras.adapted == set(BLOCKS)


def test_a_fused_qkv_beside_its_parts_counts_once(
    tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet
) -> None:
    """Some trainers write both, the same again."""
    found = tensors(shared=True)
    loras.use((written(tmp_path / "split.safetensors", found),))
    known = output(model)
    loras.use((written(tmp_path / "both.safetensors", found | files.fused_qkv(found)),))
    assert torch.equal(output(model), known)


@pytest.mark.parametrize("settings", [
    {"r": 4, "lora_alpha": 8}, {"r": 4, "lora_alpha": 2, "alpha_pattern": {"layers.0.attention.to_q": 16}},
    {"r": 4, "lora_alpha": 8, "use_rslora": True},
])
def test_the_scale_in_diffusers_header_counts(
    tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet, settings: dict[str, Any]
) -> None:
    layers = files.block_layers("layers.0")
    config = settings | {"target_modules": list(layers)}
    header = json.dumps({f"transformer.{key}": value for key, value in config.items()})
    one = written(tmp_path / "one.safetensors", files.LORA_STYLES["diffusers"](tensors(layers)),
                  {"lora_adapter_metadata": header})
    loras.use((one,))
    ours, theirs = output(model), by_diffusers(one.weights.path)
    assert torch.allclose(ours, theirs, atol=1e-4), (ours - theirs).abs().max()


def test_the_scale_beside_pefts_file_counts(tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet) -> None:
    found = tensors()
    loras.use((Lora(written(tmp_path / "plain.safetensors", found).weights, weight=2.0),))
    doubled = output(model)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8}), encoding="utf-8")
    loras.use((written(tmp_path / "adapter_model.safetensors", files.LORA_STYLES["peft"](found)),))
    assert torch.allclose(output(model), doubled, atol=1e-5)


def test_none_is_the_model_bit_for_bit(tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet) -> None:
    before, weights = output(model), {key: t.clone() for key, t in model.state_dict().items()}
    loras.use((written(tmp_path / "one.safetensors", tensors((*BLOCKS, *OTHERS))),))
    assert not torch.equal(output(model), before)
    loras.use(())
    assert torch.equal(output(model), before) and loras.adapted == frozenset() and loras.active == ()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in model.state_dict().items())


def test_only_the_last_ones_asked_for_work(tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet) -> None:
    one, two = (written(tmp_path / f"{n}.safetensors", tensors(seed=n)) for n in (1, 2))
    loras.use((two,))
    alone = output(model)
    loras.use((one, two))
    assert not torch.equal(output(model), alone)
    loras.use((two,))
    assert torch.equal(output(model), alone)


def test_files_are_read_once_and_the_last_few_kept(
    tmp_path: Path, loras: lora.LoraSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    real = lorafile.read

    def counted(path: Path) -> list[lorafile.Pair]:
        reads.append(path)
        return real(path)

    monkeypatch.setattr(lorafile, "read", counted)
    many = [written(tmp_path / f"{n}.safetensors", tensors(seed=n)) for n in range(MAX_LORAS + 1)]
    for _again in range(2):
        loras.use(tuple(many[:2]))
        loras.use((many[1],))
    assert len(reads) == 2
    loras.use(tuple(many[1:]))
    loras.use((many[0],))  # the oldest went
    assert len(reads) == MAX_LORAS + 2


def test_a_file_that_changed_is_read_again(tmp_path: Path, model: FusedTransformer, loras: lora.LoraSet) -> None:
    one = written(tmp_path / "one.safetensors", tensors(seed=1))
    loras.use((one,))
    before = output(model)
    loras.use((written(tmp_path / "one.safetensors", tensors(seed=2, rank=5)),))
    assert not torch.allclose(output(model), before, atol=1e-3)


def test_matrices_take_the_models_dtype(tmp_path: Path) -> None:
    model = FusedTransformer(files.transformer().to(torch.bfloat16))
    found = lora.LoraSet(model)
    found.use((written(tmp_path / "one.safetensors", {k: t.half() for k, t in tensors((*BLOCKS, *OTHERS)).items()}),))
    adapted = [projection for projection in model.projections() if projection.down is not None]
    assert adapted and all(p.down.dtype == p.up.dtype == torch.bfloat16 for p in adapted)  # type: ignore[union-attr]
    assert output(model).isfinite().all()
