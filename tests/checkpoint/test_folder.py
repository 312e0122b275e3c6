from __future__ import annotations

import json
import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from studio import checkpoint
from studio.checkpoint import digests
from studio.domain.errors import ModelUnusable
from studio.domain.modelcard import ModelCard

DEMO = Path(__file__).parents[2] / "models" / "z-image-demo"
VAE = "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO, tmp_path / "model"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_demo_model_is_whole() -> None:
    card = checkpoint.verify(DEMO)
    assert card == checkpoint.read_card(DEMO) and card.demo and card.name == "Z-Image demo"
    assert card.sizes and len({card, replace(card, sizes=())}) == 2


def test_a_folder_without_a_card_is_z_image_turbo(folder: Path) -> None:
    (folder / "studio.json").unlink()
    card = checkpoint.read_card(folder)
    assert card == ModelCard("Z-Image-Turbo") and not card.demo and card.sizes == ()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"There is no model folder at .*nowhere"):
        checkpoint.read_card(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model_index.json", "vae", "scheduler", "tokenizer", "transformer"])
def test_a_missing_part_is_named(folder: Path, name: str) -> None:
    part = folder / name
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    with pytest.raises(ModelUnusable, match=name):
        checkpoint.read_card(folder)


@pytest.mark.parametrize(
    "name", ["scheduler/scheduler_config.json", "tokenizer/tokenizer.json", "vae/config.json",
             "tokenizer/tokenizer_config.json"]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelUnusable, match=name):
        checkpoint.verify(folder)


def test_a_component_without_safetensors_is_named(folder: Path) -> None:
    (folder / VAE).unlink()
    with pytest.raises(ModelUnusable, match="vae holds no safetensors"):
        checkpoint.read_card(folder)


@pytest.mark.parametrize("name", ["vae/diffusion_pytorch_model.bin", "model.ckpt", "transformer/x.PT", "deep/er/a.pkl"])
def test_pickles_are_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelUnusable, match="is a pickle"):
        checkpoint.read_card(folder)


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_broken_json_is_named(folder: Path, text: str) -> None:
    for name in ("studio.json", "model_index.json"):
        original = (folder / name).read_bytes()
        (folder / name).write_bytes(text.encode("latin-1"))
        with pytest.raises(ModelUnusable, match=rf"{name} is not valid JSON"):
            checkpoint.read_card(folder)
        (folder / name).write_bytes(original)


@pytest.mark.parametrize(("field", "value"), [
    ("name", ""), ("name", 3), ("demo", 1),
    ("max_pixels", 0), ("steps", 0), ("steps", 51), ("steps", 8.5), ("guidance", -1), ("guidance", float("nan")),
    ("max_tokens", 2000), ("colour", "red"),
])
def test_a_wrong_field_of_the_card_is_named(folder: Path, field: str, value: object) -> None:
    edit(folder / "studio.json", **{field: value})
    with pytest.raises(ModelUnusable, match=rf"studio.json.*“{field}”"):
        checkpoint.read_card(folder)


@pytest.mark.parametrize("sizes", [
    None, 512, "512", {}, [512, 512], [[512]], [[512, 512, 3]], [["512", "512"]], [[512.0, 512]], [[True, 512]],
    ["ab"], [None], [[512, None]], [[500, 512]], [[480, 512]], [[0, 512]], [[-64, 512]], [[32, 512]], [[4160, 64]],
    [[576, 512]], [[512, 512], [384, 640], [512, 512]],
    [[64 * n, 64 * m] for n in range(1, 6) for m in range(1, 14)],
])
def test_sizes_that_no_model_is_trained_for_are_named(folder: Path, sizes: object) -> None:
    edit(folder / "studio.json", sizes=sizes, max_pixels=512 * 512, multiple=64)
    with pytest.raises(ModelUnusable, match=r"studio.json: “sizes” has a value"):
        checkpoint.read_card(folder)


@pytest.mark.parametrize("sizes", [
    [], [[512, 512]], [[512, 512], [4096, 64]], [[64 * n, 64 * m] for n in range(1, 9) for m in range(1, 9)],
])
def test_a_card_lists_its_sizes_before_or_after_what_limits_them(folder: Path, sizes: list[list[int]]) -> None:
    limits = {"max_pixels": 512 * 512, "multiple": 64}
    for fields in ({"sizes": sizes} | limits, limits | {"sizes": sizes}):
        (folder / "studio.json").write_text(json.dumps({"name": "Trained"} | fields))
        assert checkpoint.read_card(folder).sizes == tuple((width, height) for width, height in sizes)


def test_another_pipeline_is_refused(folder: Path) -> None:
    edit(folder / "model_index.json", _class_name="StableDiffusionPipeline")
    with pytest.raises(ModelUnusable, match="does not describe a ZImagePipeline"):
        checkpoint.read_card(folder)


def test_a_component_of_another_library_is_refused(folder: Path) -> None:
    edit(folder / "model_index.json", vae=["somewhere", "AutoencoderKL"])
    with pytest.raises(ModelUnusable, match="no usable entry “vae”"):
        checkpoint.read_card(folder)


@pytest.mark.parametrize("keep", [0, 5, 100, 1_000_000])
def test_a_truncated_weight_file_is_named(folder: Path, keep: int) -> None:
    with (folder / VAE).open("r+b") as file:
        file.truncate(keep)
    with pytest.raises(ModelUnusable, match=VAE) as caught:
        checkpoint.verify(folder)
    assert str(caught.value).count(".") <= 4 and "\n" not in str(caught.value)


def test_a_weight_file_that_is_too_long_is_named(folder: Path) -> None:
    with (folder / VAE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelUnusable, match="its header says"):
        checkpoint.verify(folder)


def weights(path: Path, *names: str) -> None:
    header = json.dumps({name: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for name in names}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


@pytest.mark.parametrize("name", ["decoder.conv.scale_weight", "x.weight_scale", "x.scale_input", "a.comfy_quant"])
def test_scaled_weights_are_refused(folder: Path, name: str) -> None:
    weights(folder / VAE, "decoder.conv.weight", name)
    with pytest.raises(ModelUnusable, match=rf"{VAE} holds quantised weights, such as {name}"):
        checkpoint.verify(folder)


def test_a_missing_shard_and_a_missing_tensor_are_named(folder: Path) -> None:
    weights(folder / "vae" / "a-00001.safetensors", "one")
    index = folder / "vae" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"one": "a-00001.safetensors", "two": "a-00002.safetensors"}}))
    with pytest.raises(ModelUnusable, match=r"a-00002\.safetensors is missing"):
        checkpoint.verify(folder)
    index.write_text(json.dumps({"weight_map": {"two": "a-00001.safetensors"}}))
    with pytest.raises(ModelUnusable, match="lacks the tensor two"):
        checkpoint.verify(folder)


@pytest.mark.parametrize("file", ["../vae/a.safetensors", "/etc/passwd", "", 3, "a\x00.safetensors"])
def test_an_index_does_not_lead_out_of_its_folder(folder: Path, file: object) -> None:
    index = folder / "vae" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"one": file}}))
    with pytest.raises(ModelUnusable, match=r"index.json: “one” has a value"):
        checkpoint.verify(folder)


def test_shards_are_one_model(folder: Path) -> None:
    whole = folder / VAE
    tensors = load_file(whole)
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: tensors[name] for name in held}, folder / "vae" / file)
    (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {name: file for file, held in shards.items() for name in held}}))
    whole.unlink()
    assert checkpoint.verify(folder, deep=True).demo
    save_file(tensors, folder / "vae" / "b.safetensors")
    with pytest.raises(ModelUnusable, match=r"b\.safetensors lists the tensor .* twice"):
        checkpoint.verify(folder)


@pytest.mark.parametrize(("part", "field", "value"), [
    ("transformer", "dim", 3840), ("transformer", "n_layers", 10**9), ("transformer", "n_layers", "6"),
    ("transformer", "siglip_feat_dim", 1152), ("transformer", "_class_name", "UNet2DConditionModel"),
    ("transformer", "axes_dims", [1]), ("vae", "down_block_types", ["AttnDownEncoderBlock2D"] * 5),
    ("vae", "latent_channels", 17), ("text_encoder", "architectures", ["T5EncoderModel"]),
    ("text_encoder", "head_dim", 0), ("vae", "block_out_channels", []), ("vae", "use_quant_conv", "no"),
    ("transformer", "cap_feat_dim", 191),
])
def test_a_configuration_that_makes_no_sense_is_named(folder: Path, part: str, field: str, value: object) -> None:
    edit(folder / part / "config.json", **{field: value})
    with pytest.raises(ModelUnusable, match=r"config\.json: “\w+” has a value that can't be used"):
        checkpoint.verify(folder)


@pytest.mark.parametrize(("part", "field", "more", "message"), [
    ("transformer", "n_layers", 1, r"transformer lacks the tensor layers\.{own}\."),
    ("transformer", "n_layers", -1, r"holds the tensor layers\.{said}\..*, which a ZImageTransformer2DModel"),
    ("text_encoder", "intermediate_size", 44, r"gate_proj.weight has the shape {own} × \d+; a Qwen3Model .* {said} × "),
])
def test_another_architecture_is_named(folder: Path, part: str, field: str, more: int, message: str) -> None:
    path = folder / part / "config.json"
    own = json.loads(path.read_text())[field]
    edit(path, **{field: own + more})
    with pytest.raises(ModelUnusable, match=message.format(own=own, said=own + more)):
        checkpoint.verify(folder)


def test_a_vae_with_or_without_attention_is_another_one(folder: Path) -> None:
    path = folder / "vae" / "config.json"
    edit(path, mid_block_add_attention=not json.loads(path.read_text())["mid_block_add_attention"])
    with pytest.raises(ModelUnusable, match=r"the tensor \w+\.mid_block\.attentions"):
        checkpoint.verify(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_found_by_a_deep_look(folder: Path, value: float) -> None:
    tensors = load_file(folder / VAE)
    tensors["decoder.conv_out.bias"][1] = value
    save_file(tensors, folder / VAE)
    checkpoint.verify(folder)
    with pytest.raises(ModelUnusable, match=rf"{VAE}: the tensor decoder.conv_out.bias holds a value"):
        checkpoint.verify(folder, deep=True)


def test_the_checksum_follows_the_weights_and_not_the_card(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "var" / "sums.json"
    first = checkpoint.checksum(folder, cache)
    assert len(first) == 64 and first == checkpoint.checksum(DEMO, cache)
    edit(folder / "studio.json", name="Renamed")
    assert checkpoint.checksum(folder, cache) == first
    edit(folder / "scheduler" / "scheduler_config.json", shift=6.0)
    assert checkpoint.checksum(folder, cache) != first


def test_an_unchanged_model_is_not_read_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "sums.json"
    first = checkpoint.checksum(folder, cache)
    read: list[Path] = []
    digest = digests._digest

    def counted(path: Path) -> str:
        read.append(path)
        return digest(path)

    monkeypatch.setattr(digests, "_digest", counted)
    assert checkpoint.checksum(folder, cache) == first and read == []
    os.utime(folder / VAE, ns=(1, 1))
    assert checkpoint.checksum(folder, cache) == first and read == [folder / VAE]


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}'])
def test_a_cache_that_cannot_be_used_costs_only_time(tmp_path: Path, content: str) -> None:
    cache = tmp_path / "sums.json"
    expected = checkpoint.checksum(DEMO, cache)
    cache.write_text(content)
    assert checkpoint.checksum(DEMO, cache) == expected
    cache.unlink()
    cache.mkdir()
    assert checkpoint.checksum(DEMO, cache) == expected
