"""What a campaign's brand kit does to what is asked for: its style, its LoRAs, the words it must not use."""

from __future__ import annotations

from dataclasses import replace

from studio.domain.errors import Invalid
from studio.domain.guides import LoraRequest
from studio.domain.spec import RenderRequest
from studio.domain.terms import Finding
from studio.domain.variables import Value
from studio.models import BrandKit
from studio.services import terms


def dress(request: RenderRequest, kit: BrandKit | None) -> RenderRequest:
    """`request` with the kit's style phrases at the end of its prompts, and its LoRAs where none was chosen.

    A phrase that stands there already is not added again, nor one that would make the prompt too long.
    """
    if kit is None:
        return request
    zh = _with_style(request.prompt_zh, kit.style_zh.strip(), "，")
    en = _with_style(request.prompt_en, kit.style_en.strip(), ", ")
    loras = request.loras or tuple(LoraRequest(one["name"], one["weight"]) for one in kit.loras)
    try:
        return replace(request, loras=loras, prompt_zh=zh, prompt_en=en)
    except Invalid:
        return replace(request, loras=loras)


def _with_style(prompt: str, phrase: str, comma: str) -> str:
    return f"{prompt}{comma}{phrase}" if prompt and phrase and phrase not in prompt else prompt


def require_clean(request: RenderRequest, values: dict[str, Value], kit: BrandKit | None) -> list[Finding]:
    """Check the variables and what is to be written in the picture. Raises Invalid for a word that blocks."""
    texts = [text for value in values.values() for text in (value.zh, value.en)]
    return terms.require_clean(
        kit, texts + terms.picture_texts((request.prompt_zh, request.prompt_en)),
        "prompt_zh" if request.prompt_zh else "prompt_en")
