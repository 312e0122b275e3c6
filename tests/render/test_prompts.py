from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ZImagePipeline

from studio.render.prompts import PromptEncoder

PROMPTS = ("a", "a red rose on a table", "蓝色背景上的火箭", "x y " * 400)


@pytest.fixture(scope="module")
def pipe(tiny_folder: Path) -> Any:
    return ZImagePipeline.from_pretrained(tiny_folder, local_files_only=True)


def encoder(pipe: Any, **options: Any) -> PromptEncoder:
    return PromptEncoder(pipe.text_encoder, pipe.tokenizer, 96, **options)


def stock(pipe: Any, prompt: str) -> torch.Tensor:
    with torch.no_grad():
        found, _none = pipe.encode_prompt([prompt], do_classifier_free_guidance=False, max_sequence_length=96)
    embedding: torch.Tensor = found[0]
    return embedding


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_tokens_alone_give_what_the_pipeline_gives(pipe: Any, prompt: str) -> None:
    found = encoder(pipe).encode(prompt)
    wanted = stock(pipe, prompt)
    assert found.embedding.shape == wanted.shape
    torch.testing.assert_close(found.embedding, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_padded_way_is_the_pipelines_to_the_bit(pipe: Any, prompt: str) -> None:
    padded = encoder(pipe, real_tokens=False)
    assert torch.equal(padded.encode(prompt).embedding, stock(pipe, prompt))
    assert not padded.levers["real_tokens"].used


def test_a_long_prompt_is_counted_whole(pipe: Any) -> None:
    found = encoder(pipe).encode(PROMPTS[-1])
    assert found.truncated and len(found.embedding) == 96
    assert found.tokens == encoder(pipe).count(PROMPTS[-1]) > 96
    assert not encoder(pipe).encode("a").truncated


def test_the_cache_keeps_the_newest_and_gives_the_same_tensor(pipe: Any) -> None:
    cached = encoder(pipe, size=2)
    first = cached.encode("a")
    cached.encode("b")
    assert cached.encode("a") is first
    cached.encode("c")
    assert cached.encode("a") is first  # "b" was the oldest
    cached.clear()
    again = cached.encode("a")
    assert again is not first and torch.equal(again.embedding, first.embedding)


def test_without_the_cache_nothing_is_kept(pipe: Any) -> None:
    plain = encoder(pipe, cached=False)
    assert plain.encode("a") is not plain.encode("a")
    assert not plain.levers["prompt_cache"].used


def test_embeddings_come_back_on_the_asked_device(pipe: Any) -> None:
    """As when the text encoder stays in main memory."""
    assert encoder(pipe, device=torch.device("meta")).encode("a").embedding.device.type == "meta"


def test_an_encoder_that_needs_a_mask_is_run_padded(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe.text_encoder.config, "_attn_implementation", "eager")
    careful = encoder(pipe)
    assert not careful.levers["real_tokens"].used and "mask" in careful.levers["real_tokens"].reason
    torch.testing.assert_close(careful.encode("a b").embedding, stock(pipe, "a b"))


class Capture:
    """Replays by calling, as a graph would run: on whatever its buffers hold then."""

    def __init__(self, fails: bool = False) -> None:
        self.captured, self.fails = 0, fails

    def __call__(self, run: Any) -> Any:
        if self.fails:
            raise RuntimeError("no graphs here")
        self.captured += 1
        return run


def test_replayed_for_other_prompts_it_gives_the_same(pipe: Any) -> None:
    capture = Capture()
    replayed = encoder(pipe, cached=False, capture=capture)
    prompts = ["a", "a red rose", "蓝色背景上的火箭", "a red rose on a table", "a"]
    found = [replayed.encode(prompt).embedding for prompt in prompts]
    assert capture.captured == 1  # when a length comes for the second time
    for prompt, one in zip(prompts, found, strict=True):
        torch.testing.assert_close(one, stock(pipe, prompt), rtol=1e-4, atol=1e-5)
    assert torch.equal(found[0], found[-1])
    assert len({one.data_ptr() for one in found}) == len(found)  # none is the graph's own buffer


def test_a_graph_that_fails_is_given_up_with_a_reason(pipe: Any) -> None:
    failing = encoder(pipe, cached=False, capture=Capture(fails=True))
    for _ in range(3):
        torch.testing.assert_close(failing.encode("a").embedding, stock(pipe, "a"), rtol=1e-4, atol=1e-5)
    assert failing.levers["real_tokens"].used and "no graphs here" in failing.levers["real_tokens"].reason
