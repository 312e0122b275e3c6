"""The batched forward pass of the training is the model's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from demo_model import networks
from demo_model.forward import Batched

pytestmark = pytest.mark.render


@pytest.fixture
def model() -> Any:
    """A transformer whose every weight counts: new ones start with gates and output at zero."""
    made: Any = networks.transformer().eval()
    torch.manual_seed(5)
    for param in made.parameters():
        nn.init.normal_(param, std=.08)
    return made


@pytest.mark.parametrize(("height", "width", "tokens", "lengths"), [
    (16, 16, 32, (20, 31)),  # as many patches as two blocks hold
    (18, 14, 32, (5, 32)),  # one patch short
    (10, 24, 64, (40, 64)),  # four short, and a longer caption
    (4, 32, 128, (97, 100)),  # one block
])
@torch.no_grad()
def test_a_batch_gives_what_each_picture_gives_alone(
    model: Any, height: int, width: int, tokens: int, lengths: tuple[int, int],
) -> None:
    torch.manual_seed(6)
    latents = torch.randn(2, networks.LATENTS, height, width)
    time, features = torch.tensor([.1, .8]), torch.randn(2, tokens, model.config.cap_feat_dim)
    alone = model(
        list(latents.unsqueeze(2).unbind(0)), time, [features[i, :length] for i, length in enumerate(lengths)],
        return_dict=False)[0]
    together = Batched(model)(latents, time, features, torch.tensor(lengths))
    torch.testing.assert_close(together, torch.stack(list(alone)).squeeze(2), rtol=1e-4, atol=1e-4)
