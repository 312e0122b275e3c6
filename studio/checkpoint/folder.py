"""A model as a folder in diffusers layout."""

from __future__ import annotations

from pathlib import Path

from studio.checkpoint.card import card_in
from studio.checkpoint.header import Tensor, plain_header
from studio.checkpoint.keys import FOLDER_STYLES, KINDS, WEIGHTED, match
from studio.checkpoint.problems import GET_FILE, GET_MODEL, GET_SAFE, PICKLES, read_object, wrong_value
from studio.checkpoint.shapes import Config, Shapes, text_encoder, transformer, vae
from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _
from studio.domain.modelcard import ModelCard

INDEX = "model_index.json"
PIPELINE = "ZImagePipeline"
COMPONENTS = (*WEIGHTED, "tokenizer", "scheduler")

_LIBRARIES = {"diffusers", "transformers"}
#: What the weights of a component are called, without the ending.
_STEMS = {"transformer": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}


def read_card(folder: Path, family: str = "") -> ModelCard:
    """The card of the model in `folder`; defaults of its family, Z-Image-Turbo, when it has no `studio.json`.

    Looks at names and small JSON files only. Raises ModelUnusable, naming the file, for a folder
    that is not a Z-Image model in diffusers layout, that holds pickled weights, or whose card has
    a wrong field.
    """
    if not folder.is_dir():
        raise ModelUnusable(_("There is no model folder at %(path)s."), hint=GET_MODEL, path=folder)
    _check_index(folder)
    for name in COMPONENTS:
        if not (folder / name).is_dir():
            raise ModelUnusable(_("The model folder has no %(path)s."), hint=GET_MODEL, path=folder / name)
    for name in WEIGHTED:
        if not any((folder / name).glob("*.safetensors")):
            raise ModelUnusable(_("%(path)s holds no safetensors file."), hint=GET_MODEL, path=folder / name)
    for path in sorted(folder.rglob("*")):
        # A pickle runs code when it is loaded.
        if path.suffix.lower() in PICKLES:
            raise ModelUnusable(
                _("%(path)s is a pickle, which could run code. Only safetensors files are loaded."),
                hint=GET_SAFE, path=path)
    return card_in(folder, family)


def verify(folder: Path, family: str = "", *, deep: bool = False) -> ModelCard:
    """Check every component down to the shape of each tensor; return the card.

    Reads headers, and with `deep` every weight. Raises ModelUnusable naming the first file that is not
    right, and what is wrong in it.
    """
    card = read_card(folder, family)
    shapes = component_shapes(folder)
    for name in WEIGHTED:
        found: dict[str, tuple[Path, Tensor]] = {}
        for path in weight_files(folder / name, _STEMS[name]):
            tensors = plain_header(path)
            for tensor in tensors.keys() & found.keys():
                raise ModelUnusable(_("%(path)s lists the tensor %(name)s twice."), path=path, name=tensor)
            found |= {tensor: (path, entry) for tensor, entry in tensors.items()}
        match(name, found, shapes[name], FOLDER_STYLES[name], folder / name)
        if deep:
            require_finite_files(found)
    check_scheduler(folder)
    check_tokenizer(folder / "tokenizer")
    return card


def require_finite_files(found: dict[str, tuple[Path, Tensor]]) -> None:
    """Read every weight of these files. Raises ModelUnusable."""
    from studio.checkpoint.finite import require_finite  # numpy is loaded only for this

    for path in sorted({path for path, _tensor in found.values()}):
        require_finite(path, {name: tensor for name, (file, tensor) in found.items() if file == path})


def component_shapes(folder: Path) -> dict[str, Shapes]:
    """The tensors of each component by the configurations in `folder`, which must fit each other."""
    configs = {name: Config(folder / name / "config.json", KINDS[name]) for name in WEIGHTED}
    if configs["transformer"].whole("cap_feat_dim") != configs["text_encoder"].whole("hidden_size"):
        raise wrong_value(configs["transformer"].path, "cap_feat_dim")
    if configs["transformer"].whole("in_channels") != configs["vae"].whole("latent_channels", 4):
        raise wrong_value(configs["vae"].path, "latent_channels")
    return {"transformer": transformer(configs["transformer"]), "vae": vae(configs["vae"]),
            "text_encoder": text_encoder(configs["text_encoder"])}


def check_scheduler(folder: Path) -> None:
    """Raises ModelUnusable without a usable `scheduler/scheduler_config.json`."""
    path = folder / "scheduler" / "scheduler_config.json"
    shift = read_object(path).get("shift", 1.0)
    if isinstance(shift, bool) or not isinstance(shift, int | float) or not 0 < shift <= 100:
        raise wrong_value(path, "shift")


def check_tokenizer(folder: Path) -> None:
    """Raises ModelUnusable when `folder` is not a tokenizer's."""
    if not (folder / "tokenizer.json").exists() and not (folder / "vocab.json").exists():
        raise ModelUnusable(_("The file %(path)s is missing."), hint=GET_FILE, path=folder / "tokenizer.json")
    read_object(folder / "tokenizer_config.json")


def weight_files(folder: Path, stem: str) -> list[Path]:
    """The files that the component's weights are loaded from: one, or the shards of an index.

    Raises ModelUnusable for a shard that is missing or lacks what the index promises.
    """
    index = folder / f"{stem}.safetensors.index.json"
    if not index.exists():
        return [folder / f"{stem}.safetensors"]
    listed = read_object(index).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise ModelUnusable(_("%(path)s has no usable entry “%(name)s”."), path=index, name="weight_map")
    files: dict[str, set[str]] = {}
    for name, file in listed.items():
        # A plain name: the index must not lead out of the folder.
        if not isinstance(file, str) or not file or Path(file).name != file or "\x00" in file:
            raise wrong_value(index, name)
        files.setdefault(file, set()).add(name)
    for file, names in files.items():
        for name in sorted(names - plain_header(folder / file).keys())[:1]:
            raise ModelUnusable(
                _("%(path)s lacks the tensor %(name)s."), hint=GET_FILE, path=folder / file, name=name)
    return sorted(folder / file for file in files)


def _check_index(folder: Path) -> None:
    path = folder / INDEX
    index = read_object(path)
    if index.get("_class_name") != PIPELINE:
        raise ModelUnusable(_("%(path)s does not describe a %(name)s."), hint=GET_MODEL, path=path, name=PIPELINE)
    for name in COMPONENTS:
        entry = index.get(name)
        # diffusers imports the library that is named here: only the two that Z-Image needs.
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in _LIBRARIES:
            raise ModelUnusable(_("%(path)s has no usable entry “%(name)s”."), hint=GET_MODEL, path=path, name=name)
