"""Loading holds one copy of the weights, and holds it by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from studio.render import loader
from tests import tiny_files as files


def test_a_file_that_changes_later_changes_nothing(tmp_path: Path) -> None:
    """A mapped file would, and, cut short, end the process."""
    single = files.single_files(files.model_folder(tmp_path / "diffusers"), tmp_path / "single")
    parts = loader.load(single, torch.device("cpu"), torch.float32)
    for path in (single.transformer, single.text_encoder, single.vae):
        assert path
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
    made = {"transformer": files.transformer(), "text_encoder": files.text_encoder(), "vae": files.vae()}
    for name, wanted in made.items():
        state = getattr(parts, name).state_dict()
        assert all(torch.equal(state[key], tensor) for key, tensor in wanted.state_dict().items())


# In a process of its own: in this one, memory that earlier tests freed would be used again and hide the growth.
MEASURE = """
import sys, torch
from pathlib import Path
from torch import nn
from studio.render import tensors

def anonymous():  # bytes that no file stands behind
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("RssAnon:")[1].split()[0]) * 1024

path, side, count = Path(sys.argv[1]), 2048, 8
with torch.device("meta"):
    module = nn.Sequential(*(nn.Linear(side, side, bias=False) for _ in range(count)))
seen, read = [], tensors.Reader.read
def watched(*args):
    found = read(*args)
    seen.append(anonymous())
    return found
tensors.Reader.read = watched
found, before = tensors.placed(tensors.listed(path), str), anonymous()
tensors.fill(module, found, path, torch.device("cpu"), torch.bfloat16)
print((max(seen) - before) / (count * side * side * 2))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_converting_holds_one_copy(tmp_path: Path) -> None:
    path = files.save({f"{index}.weight": torch.zeros(2048, 2048) for index in range(8)}, tmp_path / "big.safetensors")
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], cwd=Path(__file__).parents[2],
                          capture_output=True, text=True, check=True)
    assert 0.9 < float(done.stdout) < 1.25
