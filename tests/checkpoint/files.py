"""Single files, LoRAs and ControlNets made from the tiny model, in every way they are named in the wild."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel
from safetensors.torch import load_file, save_file

from studio import checkpoint
from studio.domain.modelcard import ModelCard

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Files:
    """A model as single files."""

    transformer: Path
    text_encoder: Path
    vae: Path
    tokenizer: Path
    config: Path

    def verify(self, *, family: str = "turbo", deep: bool = False) -> ModelCard:
        return checkpoint.verify_files(
            transformer=self.transformer, text_encoder=self.text_encoder, vae=self.vae, tokenizer=self.tokenizer,
            config=self.config, family=family, deep=deep)

    def paths(self) -> dict[str, Path]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def other(self, **paths: Path) -> Files:
        return replace(self, **paths)


def single_files(folder: Path, target: Path) -> Files:
    """The tiny model's parts, as diffusers names them, with its configurations beside."""
    config = target / "config"
    for name in ("transformer", "text_encoder", "vae"):
        (config / name).mkdir(parents=True)
        shutil.copy(folder / name / "config.json", config / name)
    shutil.copytree(folder / "scheduler", config / "scheduler")
    weights = {"transformer": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
    paths = {name: Path(shutil.copy(folder / name / f"{stem}.safetensors", target / f"{name}.safetensors"))
             for name, stem in weights.items()}
    return Files(tokenizer=folder / "tokenizer", config=config, **paths)


def original_transformer(tensors: Tensors, prefix: str = "") -> Tensors:
    """Named as Z-Image's own code does, with fused projections: the inverse of diffusers' converter."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        if ".to_k." in name or ".to_v." in name:
            continue
        if ".to_q." in name:
            parts = [tensors[name.replace("to_q", part)] for part in ("to_q", "to_k", "to_v")]
            name, tensor = name.replace("to_q", "qkv"), torch.cat(parts)
        for ours, theirs in (("all_final_layer.2-1.", "final_layer."), ("all_x_embedder.2-1.", "x_embedder."),
                             ("norm_q", "q_norm"), ("norm_k", "k_norm"), ("to_out.0", "out")):
            name = name.replace(ours, theirs)
        found[prefix + name] = tensor.contiguous()
    return found


def lora(names: dict[str, tuple[int, int]], down: str, up: str, *, rank: int = 4, alpha: bool = False) -> Tensors:
    """Pairs for layers of these (in, out) widths."""
    found: Tensors = {}
    for name, (wide, high) in names.items():
        found |= {f"{name}.{down}.weight": torch.randn(rank, wide), f"{name}.{up}.weight": torch.randn(high, rank)}
        if alpha:
            found[f"{name}.alpha"] = torch.tensor(float(rank))
    return found


def controlnet(version: str, *, dim: int = 32, trained: bool = True) -> Tensors:
    """The state of a small ControlNet of that version."""
    settings: dict[str, dict[str, Any]] = {
        "1.0": {"control_layers_places": [0, 5], "control_in_dim": 16},
        "2.0": {"control_layers_places": [0, 2, 4], "control_in_dim": 33, "control_refiner_layers_places": [0, 1],
                "add_control_noise_refiner": "control_layers"},
        "2.1": {"control_layers_places": [0, 2, 4], "control_in_dim": 33, "control_refiner_layers_places": [0, 1],
                "add_control_noise_refiner": "control_noise_refiner"}}
    net = ZImageControlNetModel(dim=dim, n_heads=1, n_kv_heads=1, n_refiner_layers=2, **settings[version])
    found = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    return {name: torch.randn_like(tensor) if trained else tensor for name, tensor in found.items()}


def save(path: Path, tensors: Tensors) -> Path:
    """Write them; return the path."""
    save_file(tensors, path)
    return path


def load(path: Path) -> Tensors:
    """Read them."""
    return dict(load_file(path))


def raw(path: Path, header: object, data: bytes = b"", *, length: int | None = None) -> Path:
    """A file with this header (an object, or bytes as they are) and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path
