"""Loading: every style of file gives the same model, in one copy; what does not fit is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_vae_checkpoint,
    convert_z_image_transformer_checkpoint_to_diffusers,
)
from torch import nn

from studio.domain.engine import ModelFiles
from studio.domain.errors import ModelUnusable
from studio.domain.modelcard import ModelCard
from studio.render import loader, tensors
from studio.render.loader import Parts
from tests import tiny_files as files
from tests.render.conftest import stock

CPU = torch.device("cpu")
NETWORKS = ("transformer", "text_encoder", "vae")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.model_folder(tmp_path_factory.mktemp("model") / "diffusers")


@pytest.fixture
def single(folder: Path, tmp_path: Path) -> ModelFiles:
    """The same model as three files beside a folder of configurations, as ComfyUI users keep it."""
    return files.single_files(folder, tmp_path)


def with_file(model: ModelFiles, network: str, path: Path) -> ModelFiles:
    paths: dict[str, Any] = {network: path}
    return replace(model, **paths)


def in_folder(folder: Path) -> ModelFiles:
    return ModelFiles(ModelCard("Tiny"), folder=folder)


def assert_is_the_model(parts: Parts, dtype: torch.dtype = torch.float32) -> None:
    made = {"transformer": files.transformer(), "text_encoder": files.text_encoder(), "vae": files.vae()}
    for name, wanted in made.items():
        found: nn.Module = getattr(parts, name)
        state = wanted.state_dict()
        assert found.state_dict().keys() == state.keys()
        for key, tensor in found.state_dict().items():
            assert tensor.dtype == dtype and torch.equal(tensor, state[key].to(dtype)), key
        assert not found.training and not any(parameter.requires_grad for parameter in found.parameters())
        assert all(not tensor.is_meta for tensor in (*found.parameters(), *found.buffers()))


def test_the_writers_write_what_diffusers_reads() -> None:
    """The styles in these tests are the real ones: diffusers' own conversions undo them."""
    state = files.transformer().state_dict()
    undone = convert_z_image_transformer_checkpoint_to_diffusers(files.original_transformer(state))
    assert undone.keys() == state.keys() and all(torch.equal(undone[key], state[key]) for key in state)
    vae = files.vae()
    undone = convert_ldm_vae_checkpoint(files.original_vae(vae.state_dict()), vae.config)
    assert undone.keys() == vae.state_dict().keys()
    assert all(torch.equal(undone[key].reshape(t.shape), t) for key, t in vae.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_folder_loads_as_diffusers_loads_it(folder: Path, dtype: torch.dtype) -> None:
    parts = loader.load(in_folder(folder), CPU, dtype)
    assert_is_the_model(parts, dtype)
    pipe = stock(folder, dtype)
    assert parts.scheduler.config == pipe.scheduler.config and parts.scheduler.config.shift == 3.0
    assert parts.tokenizer("a 红色 rose").input_ids == pipe.tokenizer("a 红色 rose").input_ids
    ids = torch.tensor([[5, 9, 200]])
    assert torch.equal(parts.text_encoder(ids).last_hidden_state, pipe.text_encoder(ids).last_hidden_state)


def test_shards_load_like_one_file(tmp_path: Path) -> None:
    sharded = files.model_folder(tmp_path / "sharded", max_shard_size="40KB")
    assert len(list((sharded / "transformer").glob("*.safetensors"))) > 2
    assert len(list((sharded / "text_encoder").glob("*.safetensors"))) > 1
    assert_is_the_model(loader.load(in_folder(sharded), CPU, torch.float32))


def test_a_variant_beside_the_weights_is_left_alone(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "m"))
    weights = copied / "vae" / "diffusion_pytorch_model.safetensors"
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert_is_the_model(loader.load(in_folder(copied), CPU, torch.float32))


def _prefixed(prefix: str) -> Callable[[files.Tensors], files.Tensors]:
    return lambda state: {prefix + key: tensor for key, tensor in state.items()}


STYLES: dict[tuple[str, str], Callable[[files.Tensors], files.Tensors]] = {
    ("transformer", "original"): files.original_transformer,
    ("transformer", "comfy"): lambda state: files.original_transformer(state, "model.diffusion_model."),
    ("transformer", "diffusers"): dict,
    ("transformer", "diffusers prefixed"): _prefixed("diffusion_model."),
    ("text_encoder", "bare"): dict,
    ("text_encoder", "prefixed"): _prefixed("model."),
    ("text_encoder", "with a head"): lambda state: _prefixed("model.")(state) | {"lm_head.weight": torch.ones(300, 24)},
    ("text_encoder", "bare with a head"): lambda state: state | {"lm_head.weight": torch.ones(300, 24)},
    ("vae", "diffusers"): dict,
    ("vae", "original"): files.original_vae,
    ("vae", "original, linear"): lambda state: files.original_vae(state, convolutions=False),
    ("vae", "prefixed"): lambda state: _prefixed("first_stage_model.")(files.original_vae(state)),
}


@pytest.mark.parametrize(("network", "style"), STYLES)
def test_every_style_of_single_file_gives_the_model(
    single: ModelFiles, tmp_path: Path, network: str, style: str
) -> None:
    path = files.save(STYLES[network, style](getattr(files, network)().state_dict()), tmp_path / "other.safetensors")
    assert_is_the_model(loader.load(with_file(single, network, path), CPU, torch.float32))


@pytest.mark.parametrize("stored", [torch.float16, torch.float32, torch.float8_e4m3fn])
def test_files_are_converted_whatever_they_hold(single: ModelFiles, tmp_path: Path, stored: torch.dtype) -> None:
    state = {key: tensor.to(stored) for key, tensor in files.transformer().state_dict().items()}
    path = files.save(state, tmp_path / "other.safetensors")
    found = loader.load(replace(single, transformer=path), CPU, torch.bfloat16).transformer.state_dict()
    assert all(torch.equal(found[key], tensor.to(torch.bfloat16)) for key, tensor in state.items())


def test_the_text_encoder_can_stay_off_the_card(single: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tensors never touch the device of the others."""
    fill, where = tensors.fill, {}

    def watched(module: nn.Module, found: Any, path: Path, device: torch.device, dtype: torch.dtype) -> None:
        where[type(module).__name__] = device
        fill(module, found, path, CPU, dtype)

    monkeypatch.setattr(tensors, "fill", watched)
    monkeypatch.setattr(nn.Module, "to", lambda module, _device: module)
    assert_is_the_model(loader.load(single, torch.device("cuda"), torch.float32, text_encoder_device=CPU))
    assert where == {
        "ZImageTransformer2DModel": torch.device("cuda"), "Qwen3Model": CPU, "AutoencoderKL": torch.device("cuda")}


def test_nothing_is_computed_in_fp16(folder: Path) -> None:
    with pytest.raises(ValueError, match="fp16"):
        loader.load(in_folder(folder), CPU, torch.float16)


def _damaged(state: files.Tensors, how: str, key: str) -> files.Tensors:
    if how == "missing":
        del state[key]
    elif how == "unexpected":
        state["some.thing.new"] = torch.zeros(3)
    elif how == "shape":
        state[key] = torch.cat((state[key], state[key]))
    elif how == "nan":
        state[key] = torch.full_like(state[key], float("nan"))
    elif how == "quantised":
        state[key] = state[key].to(torch.int8)
    elif how == "scales":
        state[key.replace("weight", "scale_weight")] = torch.ones(1)
    elif how == "marker":
        state["scaled_fp8"] = torch.zeros(2)
    elif how == "twice":
        state[f"model.{key}"] = state[f"first_stage_model.{key}"] = state[f"model.diffusion_model.{key}"] = state[key]
    return state


KEYS = {
    "transformer": "layers.1.feed_forward.w1.weight", "text_encoder": "layers.1.mlp.up_proj.weight",
    "vae": "decoder.conv_in.weight",
}


@pytest.mark.parametrize("layout", ["folder", "single"])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("how", "said"), [
    ("missing", r"lacks the tensor {key}"),
    ("unexpected", r"holds the tensor some\.thing\.new, which this model has no place for"),
    ("shape", r"the tensor {key} has the shape \d+×[\d×]+, and this model needs"),
    ("nan", r"the tensor {key} holds values that are not finite"),
    ("quantised", r"holds quantised weights \({key}\)"),
    ("scales", r"holds quantised weights \(.*scale_weight\)"),
    ("marker", r"holds quantised weights \(scaled_fp8\)"),
    ("twice", r"holds the tensor .*, which this model has no place for"),
])
def test_what_does_not_fit_is_named(
    folder: Path, single: ModelFiles, tmp_path: Path, layout: str, network: str, how: str, said: str
) -> None:
    key = KEYS[network]
    state = _damaged(getattr(files, network)().state_dict(), how, key)
    if layout == "single":
        path = files.save(state, tmp_path / f"bad-{network}.safetensors")
        model, named = with_file(single, network, path), rf"bad-{network}\.safetensors"
    else:
        copied = Path(shutil.copytree(folder, tmp_path / "m"))
        files.save(state, next((copied / network).glob("*.safetensors")))
        model, named = in_folder(copied), rf"m/{network}\S*"
    with pytest.raises(ModelUnusable, match=named + ":? .*" + said.format(key=key.replace(".", r"\."))):
        loader.load(model, CPU, torch.float32)


def test_nothing_is_read_before_the_names_fit(single: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_args: Any) -> torch.Tensor:
        raise AssertionError("a tensor was read")

    monkeypatch.setattr(tensors.Reader, "read", read)
    assert single.transformer
    files.save(_damaged(files.transformer().state_dict(), "missing", KEYS["transformer"]), single.transformer)
    with pytest.raises(ModelUnusable, match="lacks the tensor"):
        loader.load(single, CPU, torch.float32)


@pytest.mark.parametrize(("name", "text", "said"), [
    ("transformer/config.json", None, r"config\.json is missing"),
    ("scheduler/scheduler_config.json", None, r"scheduler_config\.json is missing"),
    ("vae/config.json", "{", r"vae/config\.json can't be loaded"),
    ("transformer/config.json", json.dumps({"dim": 30, "n_heads": 7}), r"transformer/config\.json can't be loaded"),
    ("text_encoder/config.json", json.dumps({"hidden_size": "wide"}), r"text_encoder/config\.json can't be loaded"),
])
def test_a_broken_configuration_is_named(single: ModelFiles, name: str, text: str | None, said: str) -> None:
    assert single.config
    path = single.config / name
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelUnusable, match=said):
        loader.load(single, CPU, torch.float32)


def test_a_tokenizer_without_a_template_is_named(folder: Path, single: ModelFiles, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder / "tokenizer", tmp_path / "words"))
    (copied / "chat_template.jinja").unlink()
    with pytest.raises(ModelUnusable, match="words has no chat template"):
        loader.load(replace(single, tokenizer=copied), CPU, torch.float32)
    with pytest.raises(ModelUnusable, match=r"empty can't be loaded"):
        (tmp_path / "empty").mkdir()
        loader.load(replace(single, tokenizer=tmp_path / "empty"), CPU, torch.float32)


def test_a_folder_without_weights_is_named(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "m"))
    weights = copied / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelUnusable, match="m/vae holds no safetensors file"):
        loader.load(in_folder(copied), CPU, torch.float32)
