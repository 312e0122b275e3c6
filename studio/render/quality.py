"""Whether pictures of a quantised model are still those of the exact one: the gate of a precision.

Fixed prompts and seeds are rendered twice, exactly and quantised, and compared pixel by pixel. What
numbers can't tell, such as a wrong stroke in a Chinese character, is for people to see on the sheet.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage.metrics import structural_similarity

from studio.domain.engine import EngineOptions, ModelFiles
from studio.domain.modelcard import ModelCard
from studio.domain.spec import Renderer, RenderSpec, Step


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of the comparison. `label` is its short English name on the sheet."""

    label: str
    prompt: str
    seed: int


#: Both languages, rendered text, faces, flat colour and fine texture: where quantisation shows first.
SAMPLES = (
    Sample("product", "A white ceramic mug on a wooden table, soft window light, product photo", 11),
    Sample("product, Chinese", "红色背景上的玻璃香水瓶，商业摄影，柔和的光", 12),
    Sample("text", 'A shop window with a sign that says "GRAND OPENING" in bold letters', 13),
    Sample("text, Chinese", "一张红色海报，上面用金色大字写着“新年快乐”", 14),
    Sample("face", "Portrait of an elderly fisherman, every wrinkle sharp, natural light", 15),
    Sample("people, Chinese", "两位年轻女子在咖啡馆里聊天，自然光，胶片质感", 16),
    Sample("flat", "蓝色背景上的白色火箭，扁平插画\nA white rocket on a blue background, flat illustration", 17),
    Sample("texture", "Aerial view of a rice terrace at sunrise, mist between the steps, fine detail", 18),
)

# A broken quantisation gives noise: under 12 dB and an SSIM under 0.3 against the exact picture. Another
# seed gives another picture, which fails as well (tests hold both). 24 dB is a mean difference of 16
# of 255 levels, and SSIM 0.9 is where side by side pictures still show the same things in the same
# places. Single pictures get room, because a diffusion of few steps can turn one detail either way.
MEAN_SSIM, WORST_SSIM = 0.90, 0.75
MEAN_PSNR, WORST_PSNR = 24.0, 18.0  # dB
#: dB put for pictures that are equal to the bit, so that a mean stays finite.
EQUAL = 100.0
SIDE = 1024  # px; a model with trained sizes takes its square, or what is nearest to one
_THUMB = 384  # px, the longer side of a picture on the sheet
_GAP = 12
_CAPTION = 22


@dataclass(frozen=True, slots=True)
class Row:
    """One pair: peak signal-to-noise ratio in dB, and structural similarity up to 1."""

    label: str
    psnr: float
    ssim: float


@dataclass(frozen=True, slots=True)
class Quality:
    """The result over all pairs; means of the rows."""

    psnr: float
    ssim: float
    passed: bool
    rows: tuple[Row, ...]

    @property
    def text(self) -> str:
        """In one line, with the thresholds."""
        worst = min(self.rows, key=lambda row: row.ssim)
        return (f"{'passed' if self.passed else 'failed'}: SSIM {self.ssim:.3f} (at least {MEAN_SSIM}), "
                f"PSNR {self.psnr:.1f} dB (at least {MEAN_PSNR:.0f}), worst “{worst.label}” at {worst.ssim:.3f}")


def compare(
    reference: Sequence[Image.Image], pictures: Sequence[Image.Image], labels: Sequence[str] | None = None
) -> Quality:
    """Compare RGB pictures pairwise. Raises ValueError when numbers or sizes differ, or there are none."""
    if not reference or len(reference) != len(pictures):
        raise ValueError("as many pictures as references, at least one")
    names = labels or [str(number) for number in range(1, len(reference) + 1)]
    rows = tuple(_row(name, one, other) for name, one, other in zip(names, reference, pictures, strict=True))
    psnr, ssim = fmean(row.psnr for row in rows), fmean(row.ssim for row in rows)
    passed = (psnr >= MEAN_PSNR and ssim >= MEAN_SSIM
              and all(row.psnr >= WORST_PSNR and row.ssim >= WORST_SSIM for row in rows))
    return Quality(psnr, ssim, passed, rows)


def sheet(pairs: Sequence[tuple[Image.Image, Image.Image]], captions: Sequence[str]) -> Image.Image:
    """Pairs side by side, exact left and quantised right, one row each under its caption (Latin letters)."""
    small = [tuple(_small(image) for image in pair) for pair in pairs]
    width = 2 * max(image.width for pair in small for image in pair) + 3 * _GAP
    heights = [max(image.height for image in pair) + _CAPTION + _GAP for pair in small]
    out = Image.new("RGB", (width, sum(heights) + _GAP), "white")
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(14)
    top = _GAP
    for pair, caption, height in zip(small, captions, heights, strict=True):
        draw.text((_GAP, top), caption, "black", font)
        for image, left in zip(pair, (_GAP, (width + _GAP) // 2), strict=True):
            out.paste(image, (left, top + _CAPTION))
        top += height
    return out


def measure(
    make: Callable[[str], Renderer], exact: str, precision: str, card: ModelCard, samples: Sequence[Sample] = SAMPLES
) -> tuple[Quality, Image.Image]:
    """Render `samples` as `card` asks with make(exact), then with make(precision); compare them.

    Never two models at a time: each is given up before the next is loaded.
    """
    reference, pictures = (_pictures(make, name, card, samples) for name in (exact, precision))
    quality = compare(reference, pictures, [sample.label for sample in samples])
    captions = [
        f"{row.label}: {exact} | {precision}, SSIM {row.ssim:.3f}, PSNR {row.psnr:.1f} dB" for row in quality.rows]
    return quality, sheet(list(zip(reference, pictures, strict=True)), captions)


def run(files: ModelFiles, options: EngineOptions, precision: str) -> tuple[Quality, Image.Image]:
    """Compare `precision` with the exact format of this machine, at the model's own size.

    Raises ModelUnusable when the model can't be loaded in either, RenderError when memory is short.
    """
    from studio.render.zimage import ZImageRenderer

    load: Callable[..., Renderer] = ZImageRenderer

    def make(name: str) -> Renderer:
        return load(files, replace(options, precision=name, default_precision=""))

    return measure(make, exact_precision(options.device), precision, files.card)


def exact_precision(device: str) -> str:
    """What "auto" takes on `device` ("auto", "cpu", "cuda", "cuda:N") for a model without a default: bf16 or fp32."""
    if device == "cpu" or not torch.cuda.is_available():
        return "fp32"
    capability = torch.cuda.get_device_capability(torch.device("cuda" if device == "auto" else device))
    return "bf16" if capability >= (8, 0) else "fp32"


def _pictures(
    make: Callable[[str], Renderer], name: str, card: ModelCard, samples: Sequence[Sample]
) -> list[Image.Image]:
    renderer = make(name)
    width, height = card.render_size(SIDE, SIDE)
    specs = [RenderSpec(sample.prompt, sample.seed, width, height, width, height, steps=card.steps,
                        guidance=card.guidance) for sample in samples]
    found = [renderer.render(spec, _ignore).image for spec in specs]
    del renderer
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return found


def _ignore(step: Step) -> None:
    pass


def _row(label: str, one: Image.Image, other: Image.Image) -> Row:
    if one.size != other.size:
        raise ValueError(f"“{label}” has two sizes")
    a, b = (np.asarray(image.convert("RGB"), dtype=np.float64) for image in (one, other))
    error = float(np.mean((a - b) ** 2))
    psnr = EQUAL if error == 0 else min(EQUAL, 10 * math.log10(255**2 / error))
    ssim = structural_similarity(a, b, channel_axis=2, data_range=255.0)  # type: ignore[no-untyped-call]  # untyped
    return Row(label, psnr, float(ssim))


def _small(image: Image.Image) -> Image.Image:
    scale = min(1.0, _THUMB / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB") if scale == 1.0 else image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
