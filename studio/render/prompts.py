"""Prompt to embedding, with a cache that changes nothing but the time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from studio.render.graphs import Capture, CudaCapture
from studio.render.levers import OFF, Lever, why

#: On a GPU prompts are filled up to a multiple of this many tokens, so that few graphs serve all lengths.
_FILL = 32


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as the transformer reads it.

    `embedding` [tokens, width]; `tokens` counts the whole prompt with its chat template, before truncation.
    """

    embedding: Tensor
    tokens: int
    truncated: bool


class PromptEncoder:
    """Encodes prompts as `ZImagePipeline.encode_prompt` does and keeps the last `size` results.

    The pipeline pads to `max_tokens`, runs every layer and takes the last but one hidden state of
    the prompt's own tokens. Padding stands to their right and attention is causal, so the same
    numbers come out of the own tokens alone, and neither the last layer nor the final norm is ever
    needed (`real_tokens`).

    On a GPU, Python would take longer to start the kernels than they to run: with `graphs` the layers are
    captured as a CUDA graph when a length comes for the second time.

    The cache's key is the exact prompt, and the embedding is stored as it was computed, so a hit
    renders the same bytes as a miss. At 512 tokens an entry takes 2.6 MB in bf16.
    """

    def __init__(
        self, text_encoder: Any, tokenizer: Any, max_tokens: int, *,
        size: int = 32, real_tokens: bool = True, cached: bool = True, device: torch.device | None = None,
        graphs: bool = True, capture: Capture | None = None,
    ) -> None:
        """`text_encoder`: a transformers Qwen3Model, on any device; embeddings come back on `device` (None: its own).

        `capture`: None takes CUDA graphs where there are any.

        `levers` says what became of "real_tokens" and "prompt_cache".
        """
        self._model, self._tokenizer = text_encoder, tokenizer
        self._max_tokens = max_tokens
        self._size = size if cached else 0
        self._device = device or text_encoder.device
        self._cache: OrderedDict[str, Encoded] = OrderedDict()
        if capture is None and self._model.device.type == "cuda":
            capture = CudaCapture()
        self._capture = capture if graphs else None
        self._fill = _FILL if capture is not None else 1  # with or without graphs: the same numbers
        self._graphs: dict[int, _Graph | None] = {}  # by length; None: seen once
        self.levers = {
            "real_tokens": _fits(text_encoder) if real_tokens else Lever(False, OFF),
            "prompt_cache": Lever(True, f"the last {size} prompts") if cached else Lever(False, OFF),
        }

    @torch.inference_mode(False)
    @torch.no_grad()
    def encode(self, prompt: str) -> Encoded:
        """The embedding of `prompt`."""
        found = self._cache.pop(prompt, None) or self._encode(prompt)
        self._cache[prompt] = found  # newest last
        while len(self._cache) > self._size:
            self._cache.popitem(last=False)
        return found

    def count(self, prompt: str) -> int:
        """Tokens of `prompt` with its chat template, however many the model reads."""
        return len(self._tokenizer(self._chat(prompt), verbose=False).input_ids)

    def clear(self) -> None:
        """Forget every embedding and graph and free their memory."""
        self._cache.clear()
        self._graphs.clear()

    def _chat(self, prompt: str) -> str:
        text: str = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True, enable_thinking=True
        )
        return text

    def _encode(self, prompt: str) -> Encoded:
        ids = self._tokenizer(self._chat(prompt), verbose=False, return_tensors="pt").input_ids[0]
        kept = ids[:self._max_tokens].to(self._model.device)
        embedding = self._own(kept) if self.levers["real_tokens"].used else self._padded(kept)
        return Encoded(embedding.to(self._device), len(ids), truncated=len(ids) > self._max_tokens)

    def _own(self, ids: Tensor) -> Tensor:
        """The last layer's input for the tokens alone."""
        filled = F.pad(ids, (0, -len(ids) % self._fill))[None]
        return self._run(filled)[0, :len(ids)].clone()

    def _run(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        if self._capture is None or length not in self._graphs:
            self._graphs[length] = None
            return self._layers(ids)
        graph = self._graphs[length]
        try:
            if graph is None:
                graph = self._graphs[length] = _Graph(self._layers, ids, self._capture)
            return graph(ids)
        except RuntimeError as error:
            self._capture = None
            self._graphs.clear()
            self.levers["real_tokens"] = Lever(True, f"{self.levers['real_tokens'].reason}; no graphs: {why(error)}")
            return self._layers(ids)

    def _layers(self, ids: Tensor) -> Tensor:
        """ids [1, tokens] -> [1, tokens, width]."""
        model = self._model
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        x: Tensor = model.embed_tokens(ids)
        rope = model.rotary_emb(x, positions)
        for layer in model.layers[:model.config.num_hidden_layers - 1]:
            # Without a mask SDPA attends causally, which lets it take its fastest kernel.
            x = layer(x, attention_mask=None, position_ids=positions, position_embeddings=rope, use_cache=False)
        return x

    def _padded(self, ids: Tensor) -> Tensor:
        """The pipeline's way."""
        missing = self._max_tokens - len(ids)
        pad = self._tokenizer.pad_token_id or 0
        mask = torch.cat((torch.ones_like(ids), ids.new_zeros(missing)))[None].bool()
        padded = torch.cat((ids, ids.new_full((missing,), pad)))[None]
        states = self._model(input_ids=padded, attention_mask=mask, output_hidden_states=True).hidden_states
        found: Tensor = states[-2][0][mask[0]]
        return found


class _Graph:
    """The layers, captured for one length."""

    def __init__(self, layers: Callable[[Tensor], Tensor], ids: Tensor, capture: Capture) -> None:
        self._ids = ids.clone()
        self._replay = capture(lambda: layers(self._ids))

    def __call__(self, ids: Tensor) -> Tensor:
        self._ids.copy_(ids)
        return self._replay()


def _fits(model: Any) -> Lever:
    """Whether running the layers one by one gives what the whole model gives."""
    if model.config.num_hidden_layers < 2:
        return Lever(False, "the text encoder has a single layer")
    if model.config._attn_implementation != "sdpa":
        return Lever(False, f"attention “{model.config._attn_implementation}” needs a mask to be causal")
    if any(kind != "full_attention" for kind in model.config.layer_types):
        return Lever(False, "the text encoder has layers with a sliding window")
    return Lever(True, "the prompt's own tokens, without the last layer and the final norm")
