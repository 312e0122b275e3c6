"""A model as single files, as ComfyUI keeps them: transformer, text encoder, VAE; and a tokenizer's folder."""

from __future__ import annotations

from pathlib import Path

from studio.checkpoint.card import card_in
from studio.checkpoint.folder import check_scheduler, check_tokenizer, component_shapes, require_finite_files
from studio.checkpoint.header import plain_header
from studio.checkpoint.keys import FILE_STYLES, WEIGHTED, match
from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _
from studio.domain.modelcard import ModelCard

#: Configurations of the real models in diffusers layout, by family: single files bring none.
CONFIGS = {family: Path(__file__).resolve().parents[1] / "data" / name
           for family, name in (("turbo", "z_image"), ("base", "z_image_base"))}
_GET_TOKENIZER = _("Download it with `manage.py model fetch --only tokenizer`, then name its folder with --tokenizer.")


def verify_files(
    *, transformer: Path, text_encoder: Path, vae: Path, tokenizer: Path, config: Path, family: str = "turbo",
    deep: bool = False,
) -> ModelCard:
    """Check the three files against the configurations in `config`; return the card.

    Any of the known ways to name the tensors will do. Reads headers, and with `deep` every weight. Raises
    ModelUnusable naming the first file that is not right, and what is wrong in it.
    """
    files = {"transformer": transformer, "text_encoder": text_encoder, "vae": vae}
    shapes = component_shapes(config)
    for name in WEIGHTED:
        path = files[name]
        found = {tensor: (path, entry) for tensor, entry in plain_header(path).items()}
        match(name, found, shapes[name], FILE_STYLES[name], path)
        if deep:
            require_finite_files(found)
    check_scheduler(config)
    if not tokenizer.is_dir():
        raise ModelUnusable(
            _("There is no tokenizer folder at %(path)s."), hint=_GET_TOKENIZER, path=tokenizer)
    check_tokenizer(tokenizer)
    return card_in(config, family)
