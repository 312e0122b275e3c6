"""What the engine refuses before the model runs: an index outside of a table would end the process on a GPU."""

from __future__ import annotations

import math
from typing import Any

from studio.domain.errors import RenderError
from studio.domain.guides import MAX_CONTROL_SCALE, MAX_GUIDANCE, MAX_LORA_WEIGHT, MIN_STRENGTH
from studio.domain.i18n import gettext_noop as _
from studio.domain.modelcard import ModelCard
from studio.domain.spec import MAX_STEPS, SAMPLERS, RenderSpec


def check(spec: RenderSpec, card: ModelCard, config: Any, multiple: int) -> None:
    """Raise RenderError, saying what is possible, for a spec that the model can't render.

    `config` is the transformer's; `multiple` is what sides must be multiples of, in pixels.
    """
    _text, rows, columns = config.axes_lens
    for side, cells in ((spec.render_width, columns), (spec.render_height, rows)):
        if side % multiple or not multiple <= side <= cells * multiple:
            raise RenderError(
                _("%(width)d × %(height)d px can't be rendered: "
                  "sides must be multiples of %(step)d up to %(high)d."),
                width=spec.render_width, height=spec.render_height, step=multiple, high=cells * multiple,
            )
    if spec.sampler not in SAMPLERS or not 1 <= spec.steps <= MAX_STEPS:
        raise RenderError(
            _("This model renders with 1 to %(limit)d steps and one of the samplers %(known)s; "
              "not with %(steps)d and %(sampler)s."),
            limit=MAX_STEPS, known=", ".join(SAMPLERS), steps=spec.steps, sampler=spec.sampler,
        )
    _check_guidance(spec, card)
    _check_pictures(spec)
    for lora in spec.loras:
        if not 0 < abs(lora.weight) <= MAX_LORA_WEIGHT:
            raise RenderError(_("The LoRA %(name)s has a weight that can't be used."), name=lora.weights.name)


def _check_guidance(spec: RenderSpec, card: ModelCard) -> None:
    if spec.guidance and not card.guides:
        raise RenderError(
            _("%(model)s is made to render without guidance; it can't use %(guidance)s."),
            hint=_("Set the guidance to 0. A negative prompt then has no effect."),
            model=card.name, guidance=spec.guidance)
    if not (math.isfinite(spec.guidance) and 0 <= spec.guidance <= MAX_GUIDANCE):
        raise RenderError(_("Guidance is a number from 0 to %(high)s."), high=MAX_GUIDANCE)


def _check_pictures(spec: RenderSpec) -> None:
    size = (spec.render_width, spec.render_height)
    pictures = [spec.image, spec.mask, spec.control.image if spec.control else None]
    for picture in pictures:
        if picture is not None and picture.size != size:
            raise RenderError(
                _("A picture of %(width)d × %(height)d px was given for a render of %(needed)s px."),
                width=picture.width, height=picture.height, needed=f"{size[0]} × {size[1]}")
    if spec.mask is not None and spec.image is None:
        raise RenderError(_("A mask needs the picture that it belongs to."))
    if spec.image is not None and not MIN_STRENGTH <= spec.strength <= 1:
        raise RenderError(_("The strength is a number from %(low)s to 1."), low=MIN_STRENGTH)
    if spec.control is not None and not 0 < spec.control.scale <= MAX_CONTROL_SCALE:
        raise RenderError(_("The control scale is a number above 0, at most %(high)s."), high=MAX_CONTROL_SCALE)
