from __future__ import annotations

from studio.domain.provenance import Difference, differences

ENGINE = {"model": "Demo", "checksum": "ab", "device": "CPU", "threads": "2", "dtype": "float32", "torch": "2.13.0",
          "diffusers": "0.42.1", "transformers": "5.0"}
RECIPE = {**ENGINE, "engine": sorted(ENGINE), "seed": 7, "worker": "worker-1", "attempt": 1, "prompt": "a"}


def test_the_same_engine_differs_in_nothing() -> None:
    assert differences(RECIPE, ENGINE) == [] and differences(RECIPE, RECIPE) == []


def test_who_rendered_and_when_does_not_matter() -> None:
    assert differences(RECIPE, RECIPE | {"worker": "worker-2", "attempt": 3, "pixels": "cd"}) == []


def test_each_difference_is_named_in_order() -> None:
    now = ENGINE | {"torch": "2.14.0", "checksum": "cd"}
    assert differences(RECIPE, now) == [
        Difference("checksum", "ab", "cd"), Difference("torch", "2.13.0", "2.14.0")]


def test_what_only_one_side_says_is_a_difference() -> None:
    now = ENGINE | {"precision": "fp8", "attention": "flash"}
    assert differences(RECIPE, now) == [Difference("precision", "", "fp8"), Difference("attention", "", "flash")]
    other = RECIPE | now | {"engine": sorted(now)}
    assert differences(RECIPE, other) == differences(RECIPE, now)
    assert differences(other, ENGINE) == [Difference("precision", "fp8", ""), Difference("attention", "flash", "")]


def test_weights_are_compared_by_their_checksum() -> None:
    before = RECIPE | {"loras": [{"name": "tea", "weight": 1.0, "sha256": "aa"}],
                       "control": {"kind": "canny", "model": "Union", "sha256": "11"}}
    after = RECIPE | {"loras": [{"name": "tea", "weight": 1.0, "sha256": "bb"}],
                      "control": {"kind": "canny", "model": "Union", "sha256": "11"}}
    assert differences(before, after) == [Difference("tea", "aa", "bb")]
    assert differences(before, ENGINE) == []
