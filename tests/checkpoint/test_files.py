"""Single files in every key style, and what is refused of them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import (
    convert_ldm_vae_checkpoint,
    convert_z_image_transformer_checkpoint_to_diffusers,
)

from studio import checkpoint
from studio.checkpoint.keys import FILE_STYLES, KINDS
from studio.checkpoint.shapes import Config, vae
from studio.domain.errors import ModelUnusable
from tests.checkpoint.files import Files, Tensors, load, original_transformer, save


def latent_vae(config: Path, tensors: Tensors) -> Tensors:
    """Named as the latent-diffusion code does."""
    shapes = vae(Config(config / "vae" / "config.json", KINDS["vae"]))
    style = next(style for style in FILE_STYLES["vae"] if style.name == "original")
    stored = style.wanted(shapes)  # in the order of `shapes`
    return {theirs: tensors[ours].reshape(stored[theirs]) for ours, theirs in zip(shapes, stored, strict=True)}


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_the_original_transformer_is_taken(files: Files, tmp_path: Path, prefix: str) -> None:
    plain = load(files.transformer)
    stored = original_transformer(plain, prefix) | {f"{prefix}norm_final.weight": torch.ones(32)}
    files.other(transformer=save(tmp_path / "t.safetensors", stored)).verify(deep=True)
    # It is what diffusers reads back as its own.
    again = convert_z_image_transformer_checkpoint_to_diffusers(dict(stored))
    assert again.keys() == plain.keys() and all(torch.equal(again[name], plain[name]) for name in plain)


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "vae."])
def test_the_original_vae_is_taken(files: Files, tmp_path: Path, prefix: str) -> None:
    plain = AutoencoderKL(
        block_out_channels=[8, 8, 16, 16], layers_per_block=1, norm_num_groups=4, latent_channels=16,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4)
    plain.save_config(files.config / "vae")
    stored = latent_vae(files.config, plain.state_dict())
    assert "decoder.mid.attn_1.q.weight" in stored and "encoder.down.0.block.0.norm1.weight" in stored
    file = save(tmp_path / "ae.safetensors", {f"{prefix}{name}": t.contiguous() for name, t in stored.items()})
    files.other(vae=file).verify(deep=True)
    again = convert_ldm_vae_checkpoint(load(file), plain.config)
    assert again.keys() == plain.state_dict().keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in plain.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "model."])
def test_the_text_encoder_may_bring_a_head(files: Files, tmp_path: Path, prefix: str) -> None:
    stored = {f"{prefix}{name.removeprefix('model.')}": t for name, t in load(files.text_encoder).items()}
    stored["lm_head.weight"] = torch.ones(2, 2)
    files.other(text_encoder=save(tmp_path / "qwen.safetensors", stored)).verify(deep=True)


def test_the_family_decides_the_card(files: Files) -> None:
    assert files.verify().family == "turbo"
    card = files.verify(family="base")
    assert card.guides and card.steps == 28


@pytest.mark.parametrize("name", ["x.ckpt", "x.bin", "x.PT", "x.pth", "x.pkl"])
def test_pickles_are_refused_before_they_are_opened(files: Files, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)  # opening it would wait for ever
    with pytest.raises(ModelUnusable, match=rf"{name} is a pickle"):
        files.other(vae=tmp_path / name).verify()


@pytest.mark.parametrize("name", ["x.safetensors", "x.gguf", "x"])
def test_what_is_no_plain_file_is_not_opened(files: Files, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelUnusable, match=r"is not a file whose name ends in \.safetensors"):
        files.other(vae=tmp_path / name).verify()


def test_a_pickle_of_another_name_is_refused(files: Files, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelUnusable, match="is not a safetensors file"):
        files.other(vae=tmp_path / "x.safetensors").verify()


def test_each_fault_names_file_and_key(files: Files, tmp_path: Path) -> None:
    plain = original_transformer(load(files.transformer))
    key = "layers.0.attention.qkv.weight"
    faults: dict[str, Tensors] = {
        f"lacks the tensor {re.escape(key)}": {name: t for name, t in plain.items() if name != key},
        rf"{re.escape(key)} has the shape 32 × 32; .* has 96 × 32": plain | {key: torch.ones(32, 32)},
        f"holds quantised weights, such as {re.escape(key)}": plain | {key: plain[key].to(torch.float8_e4m3fn)},
        "holds quantised weights, such as layers.0.x.scale_weight": plain | {"layers.0.x.scale_weight": torch.ones(1)},
        f"{re.escape(key)} is of the type I64": plain | {key: plain[key].long()},
        "holds the tensor layers.1.ffn_norm1.weight": plain | {"layers.1.ffn_norm1.weight": torch.ones(32)},
        f"{re.escape(key)} holds a value that is not a finite number": plain | {key: plain[key] / 0},
    }
    for message, tensors in faults.items():
        file = save(tmp_path / "bad.safetensors", tensors)
        with pytest.raises(ModelUnusable, match=rf"bad\.safetensors.*{message}") as caught:
            files.other(transformer=file).verify(deep=True)
        assert "\n" not in str(caught.value)


def test_parts_in_each_others_place_are_refused(files: Files) -> None:
    with pytest.raises(ModelUnusable, match=r"vae\.safetensors"):
        files.other(transformer=files.vae).verify()


def test_a_missing_tokenizer_says_how_to_get_it(files: Files, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="no tokenizer folder") as caught:
        files.other(tokenizer=tmp_path / "nowhere").verify()
    assert "fetch --only tokenizer" in caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelUnusable, match=r"tokenizer\.json is missing"):
        files.other(tokenizer=tmp_path / "empty").verify()


def test_the_checksum_follows_contents_and_not_names(files: Files, tmp_path: Path) -> None:
    cache = tmp_path / "sums.json"
    first = checkpoint.checksum_files(**files.paths(), cache=cache)
    moved = files.other(vae=Path(shutil.copy(files.vae, tmp_path / "renamed.safetensors")))
    assert checkpoint.checksum_files(**moved.paths(), cache=cache) == first
    changed = files.other(vae=save(tmp_path / "c.safetensors", {n: t + 1 for n, t in load(files.vae).items()}))
    assert checkpoint.checksum_files(**changed.paths(), cache=cache) != first
    assert checkpoint.checksum_file(files.vae, cache) == checkpoint.checksum_file(moved.vae, cache)
