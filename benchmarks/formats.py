"""From prompt to finished file in every ad format, with the demo model on this CPU; and the memory it takes.

Ours is what a worker does: render at the trained size nearest to the format, bring it to the exact pixels, encode the
PNG and its thumbnail. The baseline, in turn with it: diffusers' own pipeline at the same size, Pillow's resize and PNG.

    python benchmarks/formats.py [--rounds N] [--threads N]

Prints a markdown table; targets: 1.5 s for each format on two cores, 1.5 GB.
"""

from __future__ import annotations

import argparse
import csv
import resource
import statistics
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from time import perf_counter

import torch
from diffusers import ZImagePipeline
from PIL import Image

from studio import checkpoint, imaging
from studio.domain.engine import EngineOptions, ModelFiles
from studio.domain.spec import RenderSpec, Step
from studio.render.zimage import ZImageRenderer

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "z-image-demo"
PROMPT = "粉色渐变背景上的红玫瑰 | a red rose on a soft pink gradient background"
TARGET_MS, TARGET_GB = 1500, 1.5


def main() -> None:
    """Time every format, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    card = checkpoint.verify(MODEL)
    renderer = ZImageRenderer(ModelFiles(card, "", MODEL), EngineOptions(threads=args.threads))
    renderer.warm_up()

    def ours(seed: int, width: int, height: int) -> None:
        spec = RenderSpec(PROMPT, seed, width, height, *card.render_size(width, height))
        image = imaging.fit(renderer.render(spec, _ignore).image, width, height)
        imaging.encode_png(image)
        imaging.thumbnail(image)

    sizes = _sizes()
    alone = {size: _times(ours, size, args.rounds) for size in sizes}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    pipe = ZImagePipeline.from_pretrained(MODEL, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)

    def stock(seed: int, width: int, height: int) -> None:
        at_width, at_height = card.render_size(width, height)
        image = pipe(PROMPT, width=at_width, height=at_height, num_inference_steps=card.steps, guidance_scale=0.0,
                     generator=torch.Generator().manual_seed(seed)).images[0]
        image.resize((width, height), Image.Resampling.LANCZOS).save(BytesIO(), "PNG")

    print(f"{args.threads} threads, median of {args.rounds}\n")
    print("| Format | Rendered at | ours, ms | ours / stock in turn |")
    print("|---|---|---|---|")
    for size in sizes:
        ratios = [_time(ours, seed, size) / _time(stock, seed, size) for seed in range(args.rounds)]
        rendered = "{} x {}".format(*card.render_size(*size))
        print(f"| {size[0]} x {size[1]} | {rendered} | {statistics.median(alone[size]):.0f} | "
              f"{statistics.median(ratios):.2f} |", flush=True)
    slowest = max(statistics.median(times) for times in alone.values())
    print(f"\nslowest format {slowest:.0f} ms (target {TARGET_MS}), peak memory {memory:.2f} GB (target {TARGET_GB})")


def _sizes() -> list[tuple[int, int]]:
    """Every size in the table of formats, once."""
    with (ROOT / "studio" / "data" / "formats.csv").open(encoding="utf-8") as handle:
        return sorted({(int(row["width"]), int(row["height"])) for row in csv.DictReader(handle)})


def _times(render: Callable[[int, int, int], None], size: tuple[int, int], rounds: int) -> list[float]:
    _time(render, 0, size)
    return [_time(render, seed, size) for seed in range(rounds)]


def _time(render: Callable[[int, int, int], None], seed: int, size: tuple[int, int]) -> float:
    started = perf_counter()
    render(seed, *size)
    return (perf_counter() - started) * 1000


def _ignore(step: Step) -> None:
    """Steps are not what is timed."""


if __name__ == "__main__":
    main()
