"""A small network that names the thing and the ground of a picture. It learns from painted scenes only."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from demo_model.pictures import Painter, Pixels
from demo_model.scenes import SIZES, draw
from demo_model.words import GROUNDS, THINGS

_SIDE = 96
_BATCH = 64
_RATE = 2e-3
_SIZES = tuple(SIZES)


class Classifier(nn.Module):
    """[n, 3, 96, 96] in -1..1 to the scores of the things, [n, 64], and of the grounds, [n, 15]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in (32, 64, 128, 192):
            layers += [nn.Conv2d(before, width, 3, 2, 1), nn.GroupNorm(4, width), nn.SiLU(),
                       nn.Conv2d(width, width, 3, 1, 1), nn.GroupNorm(4, width), nn.SiLU()]
            before = width
        self.body = nn.Sequential(*layers)
        self.thing = nn.Linear(6 * 6 * before, len(THINGS))
        self.ground = nn.Linear(2 * before, len(GROUNDS))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The two scores."""
        found = self.body(pictures)
        pooled = torch.cat([found.mean((2, 3)), found.amax((2, 3))], 1)
        return self.thing(found.flatten(1)), self.ground(pooled)


def view(picture: Pixels) -> Tensor:
    """What the network sees of a picture [h, w, 3]: its middle square, [3, 96, 96]."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(picture[top:top + side, left:left + side]).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1).float() / 127.5 - 1


def train(painter: Painter, *, pictures: int, steps: int) -> tuple[Classifier, float]:
    """A classifier trained on `pictures` painted scenes, and the part of new scenes of which it gets both right."""
    torch.manual_seed(0)
    rng = random.Random(42)
    bank = [_example(painter, rng) for _ in range(pictures)]
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for _ in range(steps):
        chosen = rng.sample(bank, min(_BATCH, len(bank)))
        seen = torch.stack([_disturbed(picture, rng) for picture, _, _ in chosen])
        thing, ground = model(seen)
        loss = (F.cross_entropy(thing, torch.tensor([t for _, t, _ in chosen]))
                + F.cross_entropy(ground, torch.tensor([g for _, _, g in chosen])))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        rate.step()
    model.eval()
    return model, _sureness(model, [_example(painter, rng) for _ in range(max(8, pictures // 10))])


@torch.no_grad()
def _sureness(model: Classifier, fresh: list[tuple[Tensor, int, int]]) -> float:
    thing, ground = model(torch.stack([picture for picture, _, _ in fresh]))
    right = (thing.argmax(1) == torch.tensor([t for _, t, _ in fresh])) & (
        ground.argmax(1) == torch.tensor([g for _, _, g in fresh]))
    return float(right.float().mean())


def _example(painter: Painter, rng: random.Random) -> tuple[Tensor, int, int]:
    scene = replace(draw(rng, rng.choice(_SIZES)), place="centre")
    scene = replace(scene, things=scene.things[:1])
    return view(painter.paint(scene)), scene.things[0], scene.ground


def _disturbed(picture: Tensor, rng: random.Random) -> Tensor:
    """Moved, blurred and made noisy a little, so that what counts is what is shown."""
    picture = torch.roll(picture, (rng.randint(-5, 5), rng.randint(-5, 5)), (1, 2))
    if rng.random() < .5:
        factor = rng.choice((.5, .34))
        small = F.interpolate(picture[None], scale_factor=factor, mode="bilinear", antialias=True)
        picture = F.interpolate(small, size=(_SIDE, _SIDE), mode="bilinear")[0]
    return picture + rng.choice((0, .03, .08)) * torch.randn_like(picture)
