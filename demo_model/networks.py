"""The parts of the model, of exactly the classes that Z-Image is made of, small enough to learn on a CPU."""

from __future__ import annotations

import copy
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImageTransformer2DModel
from torch import nn
from transformers import Qwen3Config, Qwen3Model

#: Of the VAE at its first resolution: 256 px pictures, 16x smaller latents. `grow` doubles both.
_CHANNELS = (16, 32, 64, 128, 128)
LATENTS = 32  # channels
_WIDTH, _LAYERS, _HEADS = 192, 6, 3
_TEXT_WIDTH, _TEXT_LAYERS = 192, 3
SHIFT = 3.0  # of the schedule, as in Z-Image-Turbo


def vae(channels: tuple[int, ...] = _CHANNELS) -> AutoencoderKL:
    """A new VAE; each entry of `channels` after the first halves the picture once more.

    Two groups a norm: with two channels a group the norms erase the mean colour. The residual branches start at
    nothing, so that training starts from a linear pyramid: 17.8 dB after 125 steps, where the usual start has 14.
    """
    made = AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels), block_out_channels=channels, layers_per_block=1,
        latent_channels=LATENTS, norm_num_groups=2, sample_size=16 * 2 ** (len(channels) - 1), use_quant_conv=False,
        use_post_quant_conv=False, mid_block_add_attention=False, force_upcast=False,
        scaling_factor=1.0, shift_factor=0.0)
    for module in made.modules():
        if type(module).__name__ == "ResnetBlock2D":
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
    return made


def grow(small: AutoencoderKL) -> AutoencoderKL:
    """A VAE of twice the resolution whose latents mean what `small`'s mean, and which is about as good at once.

    The new outer level takes over nothing but size at first: the encoder halves the picture before the old levels
    see it, the decoder doubles what they make. Training then gives it the finer detail.
    """
    channels = tuple(small.config.block_out_channels)
    grown = vae((channels[0], *channels))
    encoder, decoder = grown.encoder, grown.decoder
    for old, new in ((small.encoder, encoder), (small.decoder, decoder)):
        for name in ("mid_block", "conv_norm_out", "conv_out"):
            getattr(new, name).load_state_dict(getattr(old, name).state_dict())
    encoder.conv_in.load_state_dict(small.encoder.conv_in.state_dict())
    for index, block in enumerate(small.encoder.down_blocks):
        encoder.down_blocks[index + 1].load_state_dict(block.state_dict())
    decoder.conv_in.load_state_dict(small.decoder.conv_in.state_dict())
    for index, block in enumerate(small.decoder.up_blocks):
        decoder.up_blocks[index].load_state_dict(block.state_dict(), strict=False)  # the last one gains an upsampler
    _average(encoder.down_blocks[0].downsamplers[0].conv)
    _identity(decoder.up_blocks[-2].upsamplers[0].conv)
    grown.register_to_config(
        scaling_factor=small.config.scaling_factor, shift_factor=small.config.shift_factor)
    return grown


@torch.no_grad()
def _identity(conv: nn.Conv2d) -> None:
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    for channel in range(conv.out_channels):
        conv.weight[channel, channel, 1, 1] = 1


@torch.no_grad()
def _average(conv: nn.Conv2d) -> None:
    """Each output the mean of 2 x 2 inputs; the pad of the down-sampling is on the right and the bottom."""
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    for channel in range(conv.out_channels):
        conv.weight[channel, channel, :2, :2] = .25


def text_encoder(vocabulary: int, pad: int, end: int) -> Qwen3Model:
    """A new text encoder. Its last layer and norm stay as they are: the pipeline reads the layer before."""
    torch.manual_seed(1)
    return Qwen3Model(Qwen3Config(
        vocab_size=(vocabulary + 7) // 8 * 8, hidden_size=_TEXT_WIDTH, intermediate_size=512,
        num_hidden_layers=_TEXT_LAYERS, num_attention_heads=4, num_key_value_heads=2, head_dim=48,
        max_position_embeddings=2048, tie_word_embeddings=True, pad_token_id=pad, eos_token_id=end))


def transformer() -> ZImageTransformer2DModel:
    """A new transformer. Its blocks start close to doing nothing and its output at zero."""
    torch.manual_seed(2)
    side = _WIDTH // _HEADS
    first = side // 4
    rest = (side - first) // 2
    made: Any = ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=LATENTS, dim=_WIDTH, n_layers=_LAYERS,
        n_refiner_layers=1, n_heads=_HEADS, n_kv_heads=_HEADS, cap_feat_dim=_TEXT_WIDTH, qk_norm=True,
        rope_theta=256.0, t_scale=1000.0, axes_dims=[first, rest, rest], axes_lens=[1024, 128, 128])
    with torch.no_grad():
        for block in [*made.noise_refiner, *made.layers]:
            modulation = block.adaLN_modulation[0]
            nn.init.zeros_(modulation.weight)
            modulation.bias.zero_()
            modulation.bias[_WIDTH:2 * _WIDTH] = .2  # the gates, slightly open
            modulation.bias[3 * _WIDTH:] = .2
        last = made.all_final_layer["2-1"]
        for layer in (last.linear, last.adaLN_modulation[1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(made.cap_pad_token, std=.02)
        nn.init.normal_(made.x_pad_token, std=.02)
    return made


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The schedule that the model is trained for: shift 3, as Z-Image-Turbo's."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, use_dynamic_shifting=False, shift=SHIFT)


class Average:
    """A running mean of a module's weights, which renders better than the weights of any one step."""

    def __init__(self, module: nn.Module, *, horizon: int) -> None:
        self._horizon = horizon
        self._mean = {name: value.detach().clone().float() for name, value in module.state_dict().items()}
        self._steps = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take the weights of one more step in."""
        self._steps += 1
        keep = min(1 - 1 / self._horizon, self._steps / (self._steps + 10))
        for name, value in module.state_dict().items():
            self._mean[name].lerp_(value.float(), 1 - keep)

    def state(self) -> dict[str, Any]:
        """What `load` takes to go on from here."""
        return {"mean": self._mean, "steps": self._steps}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self._mean, self._steps = state["mean"], state["steps"]

    def applied_to(self, module: Any) -> Any:
        """A copy of `module` with the mean weights."""
        other = copy.deepcopy(module)
        other.load_state_dict(self._mean)
        return other.eval()
