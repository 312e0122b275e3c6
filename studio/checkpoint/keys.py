"""The names under which a component's tensors are stored: diffusers' own, and those of single files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.checkpoint.header import PLAIN, Tensor
from studio.checkpoint.problems import GET_FILE, GET_PLAIN, shown
from studio.checkpoint.shapes import Shapes
from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _

#: Where each tensor was found.
Found = Mapping[str, tuple[Path, Tensor]]

OTHER_MODEL = _("The file belongs to another model, or to another part of it.")
WEIGHTED = ("text_encoder", "transformer", "vae")
KINDS = {"transformer": "ZImageTransformer2DModel", "text_encoder": "Qwen3Model", "vae": "AutoencoderKL"}
#: Tensors that some files hold and the component has no use for.
_SPARE = {
    "transformer": re.compile(r"norm_final\.weight"),
    "text_encoder": re.compile(r"lm_head\.weight|(model\.)?(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq"),
    "vae": re.compile(r"(?!)"),
}


@dataclass(frozen=True, slots=True)
class Style:
    """A way to name a component's tensors."""

    name: str
    prefix: str = ""
    rename: Callable[[Shapes], Shapes] = dict

    def wanted(self, shapes: Shapes) -> Shapes:
        """The tensors as this style stores them."""
        return {f"{self.prefix}{name}": shape for name, shape in self.rename(shapes).items()}


def _original(shapes: Shapes) -> Shapes:
    """As Z-Image's own code names the transformer's: one projection for query, key and value."""
    found: Shapes = {}
    for name, shape in shapes.items():
        if ".attention.to_k." in name or ".attention.to_v." in name:
            continue
        if ".attention.to_q." in name:
            name, shape = name.replace(".to_q.", ".qkv."), (3 * shape[0], *shape[1:])
        for ours, theirs in (
                ("all_final_layer.2-1.", "final_layer."), ("all_x_embedder.2-1.", "x_embedder."),
                (".attention.norm_q.", ".attention.q_norm."), (".attention.norm_k.", ".attention.k_norm."),
                (".attention.to_out.0.", ".attention.out.")):
            name = name.replace(ours, theirs)
        found[name] = shape
    return found


def _latent(shapes: Shapes) -> Shapes:
    """As the latent-diffusion code names the VAE's: up blocks counted from the end, attention as 1 x 1 convolutions."""
    last = max(int(name.split(".")[2]) for name in shapes if name.startswith("decoder.up_blocks."))

    def up(found: re.Match[str]) -> str:
        return f"decoder.up.{last - int(found[1])}."

    found: Shapes = {}
    for name, shape in shapes.items():
        attention = ".mid_block.attentions.0." in name
        if attention and len(shape) == 2:
            shape = (*shape, 1, 1)
        name = re.sub(r"^decoder\.up_blocks\.(\d+)\.", up, name)
        name = re.sub(r"^encoder\.down_blocks\.(\d+)\.", r"encoder.down.\1.", name)
        name = re.sub(r"\.mid_block\.resnets\.(\d)\.", lambda m: f".mid.block_{int(m[1]) + 1}.", name)
        for ours, theirs in (
                (".resnets.", ".block."), (".conv_shortcut.", ".nin_shortcut."), (".conv_norm_out.", ".norm_out."),
                (".downsamplers.0.", ".downsample."), (".upsamplers.0.", ".upsample."),
                (".mid_block.attentions.0.", ".mid.attn_1.")):
            name = name.replace(ours, theirs)
        if attention:
            for ours, theirs in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"),
                                 ("to_out.0", "proj_out")):
                name = name.replace(f".{ours}.", f".{theirs}.")
        found[name] = shape
    return found


#: What a folder in diffusers layout may use; nothing is renamed when it is loaded.
FOLDER_STYLES = {
    "transformer": (Style("diffusers"),), "vae": (Style("diffusers"),),
    "text_encoder": (Style("bare"), Style("transformers", "model.")),
}
#: What a single file may use.
FILE_STYLES = {
    "transformer": (Style("diffusers"), Style("original", rename=_original),
                    Style("prefixed", "model.diffusion_model.", _original)),
    "vae": (Style("diffusers"), Style("original", rename=_latent), Style("prefixed", "first_stage_model.", _latent),
            Style("vae", "vae.", _latent)),
    "text_encoder": FOLDER_STYLES["text_encoder"],
}


def match(component: str, found: Found, shapes: Shapes, styles: Iterable[Style], where: Path) -> Style:
    """The style that the tensors are stored in, when each is there, of its shape and of a plain type.

    `where` is named for a tensor that is missing. Raises ModelUnusable naming file and tensor.
    """
    options = [(style, style.wanted(shapes)) for style in styles]
    style, wanted = max(options, key=lambda option: len(option[1].keys() & found.keys()))
    for name, shape in wanted.items():
        if name not in found:
            raise ModelUnusable(_("%(path)s lacks the tensor %(name)s."), hint=GET_FILE, path=where, name=name)
        path, tensor = found[name]
        if tensor.shape != shape:
            raise ModelUnusable(
                _("%(path)s: the tensor %(name)s has the shape %(found)s; a %(kind)s of this configuration has "
                  "%(wanted)s."),
                hint=OTHER_MODEL, path=path, name=name, found=_sides(tensor.shape), wanted=_sides(shape),
                kind=KINDS[component])
        require_plain(path, name, tensor)
    for name, (path, _tensor) in found.items():
        if name not in wanted and not _SPARE[component].fullmatch(name.removeprefix(style.prefix)):
            raise ModelUnusable(
                _("%(path)s holds the tensor %(name)s, which a %(kind)s of this configuration does not have."),
                hint=OTHER_MODEL, path=path, name=shown(name), kind=KINDS[component])
    return style


def require_plain(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse a type that weights are not read from. Raises ModelUnusable."""
    if tensor.dtype not in PLAIN:
        raise ModelUnusable(
            _("%(path)s: the tensor %(name)s is of the type %(found)s; weights are read from %(known)s."),
            hint=GET_PLAIN, path=path, name=shown(name), found=tensor.dtype, known=", ".join(PLAIN))


def _sides(shape: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in shape) or "1"
