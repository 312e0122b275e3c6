"""Loading: every style of file gives the same model, in one copy; what does not fit is named."""

from __future__ import annotations

import ctypes
import json
import os
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

CPU = torch.device("cpu")
NETWORKS = ("transformer", "text_encoder", "vae")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.model_folder(tmp_path_factory.mktemp("model") / "diffusers")


@pytest.fixture
def single(folder: Path, tmp_path: Path) -> ModelFiles:
    """The same model as three files beside a folder of configurations, as ComfyUI users keep it."""
    config = tmp_path / "config"
    for name in ("transformer/config.json", "text_encoder/config.json", "vae/config.json",
                 "scheduler/scheduler_config.json"):
        (config / name).parent.mkdir(parents=True)
        shutil.copy(folder / name, config / name)
    transformer = files.original_transformer(files.transformer().state_dict())
    encoder = {f"model.{key}": tensor for key, tensor in files.text_encoder().state_dict().items()}
    return ModelFiles(
        ModelCard("Tiny"), config=config, tokenizer=folder / "tokenizer",
        transformer=files.save(transformer, tmp_path / "z.safetensors"),
        text_encoder=files.save(encoder, tmp_path / "qwen.safetensors"),
        vae=files.save(files.original_vae(files.vae().state_dict()), tmp_path / "ae.safetensors"),
    )


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
    pipe = loader.load_pipeline(folder, CPU, dtype)
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


def _anonymous() -> int:
    """Bytes of this process that no file stands behind."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("RssAnon:")[1].split()[0]) * 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads Linux's /proc")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loading_holds_one_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    side, count = 2048, 8
    names = {f"{index}.weight": (side, side) for index in range(count)}
    path = files.save({name: torch.zeros(shape) for name, shape in names.items()}, tmp_path / "big.safetensors")
    with torch.device("meta"):
        module = nn.Sequential(*(nn.Linear(side, side, bias=False) for _ in range(count)))
    seen, read = [], tensors.Reader.read

    def watched(*args: Any) -> torch.Tensor:
        found = read(*args)
        seen.append(_anonymous())
        return found

    monkeypatch.setattr(tensors.Reader, "read", watched)
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests have freed must not be taken for this one's
    before = _anonymous()
    tensors.fill(module, tensors.placed(tensors.listed(path), str), path, CPU, dtype)
    copy = count * side * side * dtype.itemsize
    assert 0.8 * copy < max(seen) - before < 1.25 * copy
