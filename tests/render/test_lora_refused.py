"""LoRA files that can't be used are refused by the name of file and tensor, and nothing changes."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.domain.errors import ModelUnusable
from studio.domain.guides import Lora, Weights
from studio.render import lora, lorafile
from studio.render.fused import FusedTransformer
from tests import tiny_files as files

BLOCK = files.block_layers("layers.0")
DOWN, UP = "layers.0.attention.to_k.lora_A.weight", "layers.0.attention.to_k.lora_B.weight"


@pytest.fixture(scope="module")
def model() -> FusedTransformer:
    return FusedTransformer(files.transformer())


def tensors() -> files.Tensors:
    return files.lora(files.transformer(), BLOCK)


def _with(found: files.Tensors, how: str) -> files.Tensors:
    added = {
        "dora": "layers.0.attention.to_k.dora_scale", "peft dora": "layers.0.attention.to_k.lora_magnitude_vector",
        "loha": "lora_unet_layers_0_attention_to_k.hada_w1_a", "lokr": "diffusion_model.layers.0.x.lokr_w1",
        "difference": "diffusion_model.layers.0.attention.to_k.diff", "bias": "layers.0.attention.to_k.lora_B.bias",
        "scales": "layers.0.attention.to_k.weight_scale", "kohya text encoder": "lora_te_layers_0_x.lora_down.weight",
        "text encoder": "text_encoder.layers.0.self_attn.q_proj.lora_A.weight",
        "comfy text encoder": "text_encoders.qwen3_4b.layers.0.mlp.up_proj.lora_down.weight",
        "stray alpha": "layers.2.attention.to_q.alpha",
    }
    if how in added:
        return found | {added[how]: torch.ones(1 if how == "stray alpha" else 2)}
    if how == "half":
        del found[UP]
    elif how == "other half":
        del found[DOWN]
    elif how == "ranks":
        found[UP] = found[UP][:, :3]
    elif how == "inputs":
        found[DOWN] = torch.zeros(4, 31)
    elif how == "outputs":
        found[UP] = torch.zeros(96, 4)
    elif how == "vector":
        found[DOWN] = torch.zeros(4)
    elif how == "nan":
        found[DOWN][2, 3] = float("nan")
    elif how == "infinite":
        found[UP][2, 3] = float("inf")
    elif how == "infinite alpha":
        found["layers.0.attention.to_k.alpha"] = torch.tensor(float("inf"))
    elif how == "quantised":
        found[UP] = found[UP].to(torch.int8)
    elif how == "other model":
        found = {key.replace("layers.0.", "double_blocks.0."): tensor for key, tensor in found.items()}
    elif how == "deeper model":
        found |= {key.replace("layers.0.", "layers.30."): tensor for key, tensor in found.items()}
    elif how == "twice":
        found[f"transformer.{DOWN}"], found[f"transformer.{UP}"] = found[DOWN], found[UP]
    elif how == "nothing":
        found = {}
    return found


@pytest.mark.parametrize(("how", "said"), [
    ("dora", r"is a DoRA \(layers\.0\.attention\.to_k\.dora_scale\)"),
    ("peft dora", r"is a DoRA \(.*lora_magnitude_vector\)"),
    ("loha", r"is a LoHa \(.*hada_w1_a\)"),
    ("lokr", r"is a LoKr \(.*lokr_w1\)"),
    ("difference", r"holds the tensor diffusion_model\.layers\.0\.attention\.to_k\.diff, which"),
    ("bias", r"holds the tensor layers\.0\.attention\.to_k\.lora_B\.bias, which"),
    ("scales", r"quantised weights \(.*weight_scale\)"),
    ("kohya text encoder", r"changes the text encoder \(lora_te_"),
    ("text encoder", r"changes the text encoder \(text_encoder\.layers\.0"),
    ("comfy text encoder", r"changes the text encoder \(text_encoders\.qwen3_4b"),
    ("stray alpha", r"holds the tensor layers\.2\.attention\.to_q\.alpha, which"),
    ("half", r"lacks the tensor layers\.0\.attention\.to_k\.lora_B\.weight"),
    ("other half", r"lacks the tensor layers\.0\.attention\.to_k\.lora_A\.weight"),
    ("ranks", r"to_k\.lora_B\.weight has the shape 32×3, and this model needs 32×4"),
    ("inputs", r"to_k\.lora_A\.weight has the shape 4×31, and this model needs 4×32"),
    ("outputs", r"to_k\.lora_B\.weight has the shape 96×4, and this model needs 32×4"),
    ("vector", r"holds the tensor layers\.0\.attention\.to_k\.lora_A\.weight, which"),
    ("nan", r"to_k\.lora_A\.weight holds values that are not finite"),
    ("infinite", r"to_k\.lora_B\.weight holds values that are not finite"),
    ("infinite alpha", r"to_k\.alpha holds values that are not finite"),
    ("quantised", r"quantised weights \(layers\.0\.attention\.to_k\.lora_B\.weight\)"),
    ("other model", r"holds the tensor double_blocks\.0\..*, which this model has no place for"),
    ("deeper model", r"holds the tensor layers\.30\..*, which this model has no place for"),
    ("twice", r"holds the tensor (transformer\.)?layers\.0\.attention\.to_k\.lora_A\.weight, which"),
    ("nothing", r"holds no LoRA"),
])
def test_what_does_not_fit_is_named_and_changes_nothing(
    tmp_path: Path, model: FusedTransformer, how: str, said: str
) -> None:
    good = Lora(Weights("good", files.save(tensors(), tmp_path / "good.safetensors")))
    bad = Lora(Weights("bad", files.save(_with(tensors(), how), tmp_path / "bad.safetensors")))
    found = lora.LoraSet(model)
    found.use((good,))
    kept = [(projection.down, projection.up) for projection in model.projections()]
    with pytest.raises(ModelUnusable, match=rf"bad\.safetensors:? .*{said}|bad\.safetensors {said}"):
        found.use((good, bad))
    assert all(a is c and b is d for (a, b), (c, d) in zip(
        kept, [(projection.down, projection.up) for projection in model.projections()], strict=True))
    assert found.adapted == set(BLOCK)
    found.use(())


@pytest.mark.parametrize("header", [
    "no json", "[1]", '{"transformer.lora_alpha": NaN}', '{"transformer.alpha_pattern": {"x": 1e999}}',
    json.dumps({"transformer.lora_alpha": "much"}), json.dumps({"transformer.alpha_pattern": 3}),
])
def test_a_header_that_makes_no_sense_is_refused(tmp_path: Path, header: str) -> None:
    path = files.save(tensors(), tmp_path / "bad.safetensors", {"lora_adapter_metadata": header})
    with pytest.raises(ModelUnusable, match=r"bad\.safetensors can't be read"):
        lorafile.read(path)


def test_a_dora_that_says_so_in_its_header_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"transformer.lora_alpha": 4, "transformer.use_dora": True})
    path = files.save(tensors(), tmp_path / "bad.safetensors", {"lora_adapter_metadata": header})
    with pytest.raises(ModelUnusable, match="is a DoRA"):
        lorafile.read(path)


def test_files_that_were_cut_or_scrambled_are_refused(tmp_path: Path) -> None:
    """Any cut is found; a changed byte of the header is found or harmless, never another kind of failure."""
    path = files.save(tensors(), tmp_path / "bad.safetensors")
    data = path.read_bytes()
    for kept in [*range(0, 200, 7), *range(200, len(data), 501)]:
        path.write_bytes(data[:kept])
        with pytest.raises(ModelUnusable, match=r"bad\.safetensors is not a whole safetensors file"):
            lorafile.read(path)
    length = int.from_bytes(data[:8], "little")
    chance = random.Random(1)
    refused = 0
    for _ in range(300):
        changed = bytearray(data)
        changed[chance.randrange(8 + length)] = chance.randrange(256)
        path.write_bytes(changed)
        try:
            lorafile.read(path)
        except ModelUnusable as error:
            assert "bad.safetensors" in str(error)
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("digest", ["0" * 64, "nonsense"])
def test_another_file_than_the_registered_one_is_refused(
    tmp_path: Path, model: FusedTransformer, digest: str
) -> None:
    path = files.save(tensors(), tmp_path / "bad.safetensors")
    with pytest.raises(ModelUnusable, match=r"bad\.safetensors is not the file it was"):
        lora.LoraSet(model).use((Lora(Weights("bad", path, digest)),))


def test_the_registered_file_is_hashed_once(
    tmp_path: Path, model: FusedTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.save(tensors(), tmp_path / "good.safetensors")
    one = Lora(Weights("good", path, hashlib.sha256(path.read_bytes()).hexdigest().upper()))
    digest, calls = hashlib.file_digest, []

    def counted(*args: Any) -> Any:
        calls.append(args)
        return digest(*args)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    found = lora.LoraSet(model)
    for _again in range(3):
        found.use((one,))
        found.use(())
    assert len(calls) == 1


def test_a_file_that_is_gone_is_named(tmp_path: Path, model: FusedTransformer) -> None:
    with pytest.raises(ModelUnusable, match=r"gone\.safetensors can't be read"):
        lora.LoraSet(model).use((Lora(Weights("gone", tmp_path / "gone.safetensors")),))
