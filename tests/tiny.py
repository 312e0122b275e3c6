"""A tiny random-weight Z-Image pipeline: the real classes and folder layout, small widths.

Its pictures are noise; what is tested with it is everything around the weights. It uses an 8x VAE
with 16 latent channels, so it renders any size that is a multiple of 16.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WIDTH = 32


def build(folder: Path, *, seed: int = 0) -> Path:
    """Save a tiny pipeline into `folder` with its card; return `folder`."""
    torch.manual_seed(seed)
    words = tokenizer()
    vae = AutoencoderKL(
        block_out_channels=[8, 8, 16, 16], layers_per_block=1, norm_num_groups=4, latent_channels=16,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        mid_block_add_attention=False, sample_size=64, scaling_factor=0.3611, shift_factor=0.1159,
        use_quant_conv=False, use_post_quant_conv=False,
    )
    text_encoder = Qwen3Model(Qwen3Config(
        vocab_size=len(words), hidden_size=_WIDTH, intermediate_size=64, num_hidden_layers=2, head_dim=16,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=2048, tie_word_embeddings=True,
    ))
    transformer = ZImageTransformer2DModel(
        dim=_WIDTH, n_layers=1, n_refiner_layers=1, n_heads=1, n_kv_heads=1, cap_feat_dim=_WIDTH, in_channels=16,
        axes_dims=[8, 12, 12], axes_lens=[1536, 512, 512],
    )
    pipe = ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), tokenizer=words,
        vae=vae.eval(), text_encoder=text_encoder.eval(), transformer=transformer.eval(),
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    (folder / "studio.json").write_text(json.dumps({"name": "Tiny", "max_pixels": 512 * 512}), encoding="utf-8")
    return folder


def tokenizer() -> Qwen2Tokenizer:
    """Byte-level BPE: every byte is in the alphabet, so any text encodes."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(["a photo of a red rose", "红色的玫瑰"], trainers.BpeTrainer(
        vocab_size=300, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    ))
    model = json.loads(bpe.to_str())["model"]
    made = Qwen2Tokenizer(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], pad_token=_SPECIAL[0],
        eos_token=_SPECIAL[2], unk_token=_SPECIAL[0], extra_special_tokens=[_SPECIAL[1]], padding_side="right",
        model_max_length=2048,
    )
    made.chat_template = _TEMPLATE
    return made
