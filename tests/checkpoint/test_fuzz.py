"""Damaged and hostile files: each ends in success or in one clear refusal, soon, and never in another error."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio import checkpoint
from studio.domain.errors import ModelUnusable
from tests.checkpoint.files import Files, controlnet, lora, raw, save

SECONDS = 5.0  # far more than any of these takes; a hang would be longer
FOUR = b"\0" * 4
ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def outcome(look: Callable[[], object], file: Path) -> str:
    """"" for success, else the refusal's sentence."""
    started = time.monotonic()
    try:
        look()
    except ModelUnusable as error:
        text = str(error)
        assert str(file) in text and "\n" not in text and len(text) < 600 + len(str(file)), text
        assert text.isprintable()
        return text
    finally:
        assert time.monotonic() - started < SECONDS
    return ""


def tensor(**changes: Any) -> dict[str, Any]:
    return {"a": ONE | changes}


HOSTILE: dict[str, tuple[Any, bytes, int | None]] = {
    "nothing": (b"", b"", 0), "a huge length": (b"{}", b"", 2**64 - 1),
    "a length over the limit": (b"{}", b"", 2**25),
    "a length past the end": (b"{}", b"", 3), "no object": ([1], b"", None),
    "no utf-8": (b"\xff\xfe{}", b"", None),
    "utf-16": ("{}".encode("utf-16"), b"", None),
    "half a text": (b'{"a": ', b"", None),
    "deep lists": (b"[" * 200_000, b"", None),
    "deep objects": (b'{"a":' * 100_000, b"", None),
    "deep metadata": (b'{"__metadata__": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", b"", None),
    "a name twice": (b'{"a": %b, "a": %b}' % ((json.dumps(ONE).encode(),) * 2), FOUR, None),
    "a field twice": (b'{"a": {"dtype": "F32", "dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', FOUR, None),
    "an unknown type": (tensor(dtype="F31"), FOUR, None),
    "a type that is a list": (tensor(dtype=[]), FOUR, None),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, FOUR, None),
    "a shape below zero": (tensor(shape=[-1]), FOUR, None),
    "a shape of halves": (tensor(shape=[0.5]), FOUR, None),
    "a shape of truths": (tensor(shape=[True]), FOUR, None),
    "a shape of NaN": (b'{"a": {"shape": [NaN]}}', b"", None),
    "a shape that overflows": (tensor(shape=[2**62, 4]), FOUR, None),
    "a shape that wraps around": (tensor(shape=[2**32, 2**32]), b"", None),
    "a shape of many sides": (tensor(shape=[1] * 100_000), FOUR, None),
    "a number of many digits": (b'{"a": {"shape": [' + b"9" * 10_000 + b"]}}", b"", None),
    "offsets below zero": (tensor(data_offsets=[-4, 0]), FOUR, None),
    "offsets the wrong way": (tensor(data_offsets=[4, 0]), FOUR, None),
    "offsets past the end": (tensor(data_offsets=[2**40, 2**40 + 4]), FOUR, None),
    "one offset": (tensor(data_offsets=[0]), FOUR, None),
    "an offset too few bytes": (tensor(data_offsets=[0, 3]), b"\0" * 3, None),
    "an overlap": (tensor() | {"b": ONE}, FOUR, None),
    "half an overlap": (tensor() | {"b": ONE | {"data_offsets": [2, 6]}}, b"\0" * 6, None),
    "a hole": (tensor() | {"b": ONE | {"data_offsets": [8, 12]}}, b"\0" * 12, None),
    "a hole at the start": (tensor(data_offsets=[4, 8]), b"\0" * 8, None),
    "bytes behind": (tensor(), b"\0" * 5, None),
    "half a byte": ({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}}, b"\0" * 2, None),
    "a surrogate": (b'{"\\ud800": {}}', b"", None),
    "an entry that is a text": ({"a": "b"}, b"", None),
    "an escape for the terminal": ({"\x1b[2J" + "x" * 5000: 3}, b"", None),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers_are_refused(tmp_path: Path, case: str) -> None:
    header, data, length = HOSTILE[case]
    file = raw(tmp_path / "x.safetensors", header, data, length=length)
    assert outcome(lambda: checkpoint.read_header(file), file)


def test_a_sparse_file_of_a_terabyte_costs_nothing(tmp_path: Path) -> None:
    file = raw(tmp_path / "x.safetensors", b"{}", length=2**39)
    with file.open("r+b") as handle:
        handle.truncate(2**40)
    assert outcome(lambda: checkpoint.read_header(file), file)


def test_harmless_oddities_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    assert checkpoint.read_header(raw(file, {})).keys() == set()
    assert checkpoint.read_header(raw(file, {"__metadata__": {"format": "pt"}, **tensor()}, FOUR)).keys() == {"a"}
    empty = ONE | {"shape": [0, 2**40], "data_offsets": [4, 4]}
    assert checkpoint.read_header(raw(file, tensor() | {"none": empty}, FOUR)).keys() == {"a", "none"}
    assert checkpoint.read_header(raw(file, json.dumps(tensor()).encode() + b" " * 40, FOUR)).keys() == {"a"}


def _flip(data: bytearray, dice: random.Random, end: int) -> None:
    for _ in range(dice.choice((1, 1, 2, 8))):
        data[dice.randrange(end)] ^= 1 << dice.randrange(8)


@pytest.mark.parametrize("part", ["transformer", "text_encoder", "vae"])
def test_random_damage_to_a_component(files: Files, tmp_path: Path, part: str) -> None:
    """A cut is always refused; flipped bits of the header are refused or harmless; those of weights may be either."""
    dice = random.Random(f"damage to the {part}")
    whole = files.paths()[part].read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    file = tmp_path / "damaged.safetensors"

    def look() -> None:
        files.other(**{part: file}).verify(deep=True)

    for _ in range(60):
        file.write_bytes(whole[:dice.choice((dice.randrange(len(whole)), dice.randrange(header + 1)))])
        assert outcome(look, file)
    for end in (8, header, header, header, len(whole)):
        for _ in range(40):
            data = bytearray(whole)
            _flip(data, dice, end)
            file.write_bytes(data)
            said = outcome(look, file)
            assert said or end > 8 or data == whole, "a flipped length is always noticed"
    for _ in range(40):
        at, count = dice.randrange(len(whole)), dice.randrange(1, 200)
        file.write_bytes(whole[:at] + dice.randbytes(count) + whole[at:])
        assert outcome(look, file)


@pytest.mark.parametrize("kind", ["lora", "controlnet"])
def test_random_damage_to_what_adds_to_a_model(tmp_path: Path, kind: str) -> None:
    dice = random.Random(f"damage to a {kind}")
    tensors = controlnet("2.1") if kind == "controlnet" else lora(
        {f"transformer.layers.{n}.attention.to_q": (8, 8) for n in range(4)}, "lora_A", "lora_B")
    file = save(tmp_path / "x.safetensors", tensors)
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    look = checkpoint.inspect_controlnet if kind == "controlnet" else checkpoint.inspect_lora
    for _ in range(150):
        data = bytearray(whole)
        _flip(data, dice, header)
        file.write_bytes(data)
        outcome(lambda: look(file, deep=True), file)
        file.write_bytes(whole[:dice.randrange(len(whole))])
        assert outcome(lambda: look(file, deep=True), file)


def test_random_bytes(tmp_path: Path) -> None:
    dice, file = random.Random("random bytes"), tmp_path / "x.safetensors"
    for _ in range(300):
        body = dice.randbytes(dice.randrange(64))
        file.write_bytes(len(body).to_bytes(8, "little") + body if dice.random() < 0.5 else body)
        assert outcome(lambda: checkpoint.read_header(file), file)
