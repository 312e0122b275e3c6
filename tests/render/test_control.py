"""The ControlNet on fused blocks: equal to diffusers' for every version, and refused by name when it can't be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import ZImageTransformer2DModel
from torch import Tensor

from studio.domain.errors import ModelUnusable
from studio.domain.guides import Weights
from studio.render import control
from studio.render.fused import FusedTransformer
from tests import tiny_files as files

VERSIONS = ("1", "2.0", "2.1")
ROWS, COLUMNS = 5, 7  # 35 tokens: padded to 64
TIMES = torch.tensor([0.05, 0.4, 0.9])


@pytest.fixture(scope="module")
def reference() -> ZImageTransformer2DModel:
    return files.transformer()


@pytest.fixture(scope="module")
def model() -> FusedTransformer:
    return FusedTransformer(files.transformer())


def latents(channels: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, 2 * ROWS, 2 * COLUMNS, generator=generator)


def caption(tokens: int = 9, seed: int = 3) -> Tensor:
    return torch.randn(tokens, 24, generator=torch.Generator().manual_seed(seed))


def written(version: str, folder: Path, tensors: files.Tensors | None = None) -> Weights:
    found = files.controlnet_tensors(files.controlnet(version, files.transformer())) if tensors is None else tensors
    return Weights("Union", files.save(found, folder / f"control-{version}.safetensors"))


@torch.no_grad()
def by_diffusers(
    reference: ZImageTransformer2DModel, version: str, contexts: list[Tensor], captions: list[Tensor], x: Tensor,
    time: Tensor, scale: float,
) -> Tensor:
    network = files.controlnet(version, reference)
    pictures = [one[:, None] for one in x]
    t = time.expand(len(pictures))
    samples = network(list(pictures), t, list(captions), [c[0][:, None] for c in contexts], conditioning_scale=scale)
    out = reference(list(pictures), t, list(captions), controlnet_block_samples=samples)[0]
    return torch.stack([one[:, 0] for one in out])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_gives_what_diffusers_gives(
    tmp_path: Path, reference: ZImageTransformer2DModel, model: FusedTransformer, version: str
) -> None:
    net = control.load(written(version, tmp_path), model)
    assert net.version == version and net.places == (0, 2)
    context = net.context(latents(files.CHANNELS, 1))
    plan = model.prepare([caption()], rows=ROWS, columns=COLUMNS, times=TIMES)
    plain, hints = latents(files.CHANNELS, 5), net.prepare(context, plan, 0.7)
    for step in (0, 2):
        ours = model.velocity(plain, plan, step, hints)
        theirs = by_diffusers(reference, version, [context], [caption()], plain, TIMES[step], 0.7)
        assert torch.allclose(ours, theirs, atol=1e-4), (ours - theirs).abs().max()
        assert not torch.allclose(ours, model.velocity(plain, plan, step), atol=1e-2)


@pytest.mark.parametrize("version", VERSIONS)
def test_one_map_leads_a_whole_batch(
    tmp_path: Path, reference: ZImageTransformer2DModel, model: FusedTransformer, version: str
) -> None:
    """As guidance renders: the same picture with two prompts."""
    net = control.load(written(version, tmp_path), model)
    context, captions = net.context(latents(files.CHANNELS, 1)), [caption(9), caption(20, seed=4)]
    plan = model.prepare(captions, rows=ROWS, columns=COLUMNS, times=TIMES)
    x = latents(files.CHANNELS, 5).repeat(2, 1, 1, 1)
    ours = model.velocity(x, plan, 1, net.prepare(context, plan, 1.3))
    theirs = by_diffusers(reference, version, [context, context], captions, x, TIMES[1], 1.3)
    assert torch.allclose(ours, theirs, atol=1e-4), (ours - theirs).abs().max()


def test_a_mask_goes_in_as_what_is_kept_before_the_masked_picture(tmp_path: Path, model: FusedTransformer) -> None:
    """The same tensor as ZImageControlNetInpaintPipeline makes: map, nearest 1 - mask, picture."""
    net = control.load(written("2.1", tmp_path), model)
    map_, picture = latents(files.CHANNELS, 1), latents(files.CHANNELS, 2)
    mask = torch.zeros(1, 1, 16 * ROWS, 16 * COLUMNS)
    mask[:, :, :, :32] = 1.0
    context = net.context(map_, mask=mask, masked_latents=picture)
    assert torch.equal(context[:, :files.CHANNELS], map_) and torch.equal(context[:, -files.CHANNELS:], picture)
    kept = context[0, files.CHANNELS]
    assert kept.shape == map_.shape[-2:] and kept[:, :4].eq(0).all() and kept[:, 4:].eq(1).all()
    assert net.context(map_)[:, files.CHANNELS:].eq(0).all()


def test_version_1_leaves_a_mask_out(tmp_path: Path, model: FusedTransformer) -> None:
    net = control.load(written("1", tmp_path), model)
    map_ = latents(files.CHANNELS, 1)
    assert not net.takes_mask
    assert net.context(map_, mask=torch.ones(1, 1, 80, 112), masked_latents=map_) is map_


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("style", ["original", "folder", "prefix"])
def test_each_style_of_file_gives_the_same(
    tmp_path: Path, model: FusedTransformer, version: str, style: str
) -> None:
    tensors = files.controlnet_tensors(files.controlnet(version, files.transformer()))
    plain = control.load(written(version, tmp_path, tensors), model)
    if style == "folder":
        folder = tmp_path / "folder"
        half = len(tensors) // 2
        for number, names in enumerate((list(tensors)[:half], list(tensors)[half:]), start=1):
            files.save({name: tensors[name] for name in names},
                       folder / f"diffusion_pytorch_model-0000{number}-of-00002.safetensors")
        path = folder
    else:
        other = files.original_transformer(tensors, "model.diffusion_model." if style == "prefix" else "")
        path = files.save({k: v for k, v in other.items() if "norm_final" not in k}, tmp_path / "other.safetensors")
    one, two = plain.state_dict(), control.load(Weights("Union", path), model).state_dict()
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_a_2_0_file_with_an_untrained_refiner_is_2_0(tmp_path: Path, model: FusedTransformer) -> None:
    """As VideoX-Fun published it later: the refiner of 2.1 is in the file, and its first projection is 0."""
    tensors = files.controlnet_tensors(files.controlnet("2.0", files.transformer()))
    extra = files.controlnet_tensors(files.controlnet("2.1", files.transformer(), seed=9))
    tensors |= {key: tensor for key, tensor in extra.items() if key.startswith("control_noise_refiner.")}
    for half in ("weight", "bias"):
        tensors[f"control_noise_refiner.0.before_proj.{half}"].zero_()
    assert control.load(written("2.0", tmp_path, tensors), model).version == "2.0"


def test_it_holds_no_copy_of_the_model(tmp_path: Path, model: FusedTransformer) -> None:
    net = control.load(written("2.1", tmp_path), model)
    shared = {parameter.data_ptr() for parameter in model.parameters()}
    assert not shared & {parameter.data_ptr() for parameter in net.parameters()}
    assert not any(name.startswith("_shared") for name, _ in net.named_modules())


def test_half_precision_files_are_computed_in_the_models_own(tmp_path: Path, model: FusedTransformer) -> None:
    tensors = files.controlnet_tensors(files.controlnet("1", files.transformer()))
    net = control.load(written("1", tmp_path, {key: t.half() for key, t in tensors.items()}), model)
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}


@pytest.mark.parametrize("version", VERSIONS)
def test_it_runs_in_bf16(tmp_path: Path, model: FusedTransformer, version: str) -> None:
    weights, pictures = written(version, tmp_path), []
    for one in (model, FusedTransformer(files.transformer().to(torch.bfloat16))):
        net = control.load(weights, one)
        plan = one.prepare([caption()], rows=ROWS, columns=COLUMNS, times=TIMES)
        hints = net.prepare(net.context(latents(files.CHANNELS, 1)), plan, 0.7)
        pictures.append(one.velocity(latents(files.CHANNELS, 5), plan, 1, hints))
    assert torch.nn.functional.cosine_similarity(pictures[0].flatten(), pictures[1].flatten(), dim=0) > 0.99


@pytest.mark.parametrize("shape", [(files.CHANNELS, 4, 4), (files.CHANNELS + 1, 2 * ROWS, 2 * COLUMNS)])
def test_a_context_of_another_shape_is_a_mistake(
    tmp_path: Path, model: FusedTransformer, shape: tuple[int, ...]
) -> None:
    net = control.load(written("1", tmp_path), model)
    plan = model.prepare([caption()], rows=ROWS, columns=COLUMNS, times=TIMES)
    with pytest.raises(ValueError, match="the context is"):
        net.prepare(torch.zeros(1, *shape), plan, 1.0)


def _damaged(tensors: files.Tensors, how: str) -> files.Tensors:
    key = "control_layers.1.after_proj.weight"
    if how == "missing":
        del tensors[key]
    elif how == "unexpected":
        tensors["control_layers.1.after_proj.scale"] = torch.zeros(2)
    elif how == "shape":
        tensors[key] = tensors[key][:-1]
    elif how == "nan":
        tensors[key][3, 4] = float("nan")
    elif how == "quantised":
        tensors[key] = tensors[key].to(torch.int8)
    elif how == "scales":
        tensors["control_layers.1.after_proj.weight_scale"] = torch.ones(1)
    elif how == "embedder":
        tensors["control_all_x_embedder.2-1.weight"] = torch.zeros(files.WIDTH, 12)
    elif how == "no embedder":
        del tensors["control_all_x_embedder.2-1.weight"]
    elif how == "layers":
        third = {name: tensor for name, tensor in tensors.items() if name.startswith("control_layers.1.")}
        tensors |= {name.replace("layers.1", "layers.2"): tensor for name, tensor in third.items()}
    return tensors


@pytest.mark.parametrize(("how", "said"), [
    ("missing", r"lacks the tensor control_layers\.1\.after_proj\.weight"),
    ("unexpected", r"the tensor control_layers\.1\.after_proj\.scale, which this model has no place for"),
    ("shape", r"control_layers\.1\.after_proj\.weight has the shape 31×32, and this model needs 32×32"),
    ("nan", r"control_layers\.1\.after_proj\.weight holds values that are not finite"),
    ("quantised", r"quantised weights \(control_layers\.1\.after_proj\.weight\)"),
    ("scales", r"quantised weights \(control_layers\.1\.after_proj\.weight_scale\)"),
    ("embedder", r"control_all_x_embedder\.2-1\.weight has the shape 32×12"),
    ("no embedder", r"lacks the tensor control_all_x_embedder\.2-1\.weight"),
    ("layers", r"has 3 control layers, which can't be spread evenly over the model's 4"),
])
@pytest.mark.parametrize("version", VERSIONS)
def test_what_does_not_fit_is_named(
    tmp_path: Path, model: FusedTransformer, version: str, how: str, said: str
) -> None:
    tensors = files.controlnet_tensors(files.controlnet(version, files.transformer()))
    with pytest.raises(ModelUnusable, match=rf"control-.*\.safetensors.*{said}"):
        control.load(written(version, tmp_path, _damaged(tensors, how)), model)


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, model: FusedTransformer, share: float) -> None:
    weights = written("2.1", tmp_path)
    data = weights.path.read_bytes()
    weights.path.write_bytes(data[:int(share * len(data))])
    with pytest.raises(ModelUnusable, match=r"control-2\.1\.safetensors is not a whole safetensors file"):
        control.load(weights, model)


def test_a_file_that_is_not_the_registered_one_is_refused(tmp_path: Path, model: FusedTransformer) -> None:
    weights = written("1", tmp_path)
    with pytest.raises(ModelUnusable, match="SHA-256"):
        control.load(Weights("Union", weights.path, "0" * 64), model)
    with pytest.raises(ModelUnusable, match=r"nothing\.safetensors can't be read"):
        control.load(Weights("Union", tmp_path / "nothing.safetensors"), model)
