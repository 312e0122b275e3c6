"""The tokenizer: 2,048 byte-level pairs, merged within words of the small world only."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from demo_model.words import GROUNDS, STYLES, THINGS

_VOCABULARY = 2048
#: The parts of Qwen3's chat template that a prompt without a system message or tools meets.
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
#: Latin words with the blank before them, single digits, single signs, runs of other letters.
_PIECES = r" ?[a-z]+|\p{N}| ?[^\s\p{L}\p{N}]|[\p{L}]+|\n|\s+"
_GLUE_EN = ("user", "assistant", "a", "an", "and", "on", "with", "of", "in", "the", "at", "left", "right", "side",
            "top", "bottom", "below", "above", "next", "to", "copy", "space")
_GLUE_ZH = ("一个", "左侧", "右侧", "左边", "右边", "上方", "下方", "上的", "放在", "位于", "留白", "背景", "居中")


def build() -> PreTrainedTokenizerFast:
    """A new tokenizer. It reads full-width signs as plain ones and capitals as small letters."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(_PIECES), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False)
    made.train_from_iterator(4 * _words(), trainer)
    return _wrapped(made)


def load(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer that was saved in `folder`."""
    found: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return found


def _wrapped(made: Tokenizer) -> PreTrainedTokenizerFast:
    found = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<|endoftext|>", eos_token="<|im_end|>", padding_side="right",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"], model_max_length=1024)
    found.chat_template = _TEMPLATE
    return found


def _words() -> list[str]:
    """Every word by itself, so that no pair crosses the border of one."""
    english = {*_GLUE_EN}
    chinese = {*_GLUE_ZH}
    for thing in THINGS:
        english.update(" ".join(thing.en).split())
        chinese.update(thing.zh)
    for ground in GROUNDS:
        english.update(" ".join(ground.en).split())
        chinese.update(ground.zh)
    for style in STYLES:
        english.update(" ".join(style.en).replace("{c}", "").split())
        chinese.update(phrase.replace("{c}", "") for phrase in style.zh)
    return [piece for word in sorted(english) for piece in (word, f" {word}")] + sorted(chinese)


def chat(tokenizer: PreTrainedTokenizerFast, prompt: str) -> str:
    """The prompt as ZImagePipeline hands it to the text encoder."""
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True, enable_thinking=True)
    return text
