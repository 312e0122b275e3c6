"""How the worker tells the engine which model to load, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from studio.domain.modelcard import ModelCard

#: Number formats of the weights, as `MODEL_PRECISION` and `manage.py model activate --precision` name them.
PRECISIONS = ("bf16", "fp32", "fp8", "int8", "int8wo")
#: Those whose pictures differ enough from bf16 to need a passed quality report before they are the default.
GATED = frozenset({"fp8", "int8", "int8wo"})
#: Name -> what it does. Each can be switched off with LEVERS_OFF; the engine says why it left one out.
LEVERS = {
    "prompt_cache": "keeps the embeddings of the last prompts; exact",
    "real_tokens": "runs the text encoder on the prompt's own tokens alone, without its unused last layer",
    "attention": "times the attention kernels at start and takes the fastest exact one",
    "compile": "compiles the transformer's blocks once for all sizes, and keeps the result on disk",
    "vae": "decodes with a compiled decoder and cheaper mid-block attention",
    "uint8": "rounds the picture on the GPU and copies a quarter of the bytes through pinned memory",
    "graphs": "replays a step, and the text encoder, each as one CUDA graph",
}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a checked model lies: a folder in diffusers layout, or single files.

    With `folder` the other paths are None. Without it `transformer`, `text_encoder` and `vae` are
    safetensors files, `tokenizer` is a folder, and `config` is a folder with the components'
    configurations in diffusers layout (`transformer/config.json` and so on, also `scheduler/`).
    `checksum` is the SHA-256, in hex, over all of them.
    """

    card: ModelCard
    checksum: str = ""
    folder: Path | None = None
    transformer: Path | None = None
    text_encoder: Path | None = None
    vae: Path | None = None
    tokenizer: Path | None = None
    config: Path | None = None

    @property
    def tokenizer_folder(self) -> Path:
        """The folder with `tokenizer.json`."""
        found = self.folder / "tokenizer" if self.folder else self.tokenizer
        assert found is not None, "single files come with a tokenizer folder"
        return found


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to run a model on this machine.

    `device`: "auto", "cpu", "cuda" or "cuda:N". `precision`: "auto" or one of PRECISIONS.
    `default_precision`: what the model's own entry asks for, or "". `threads` 0 means all cores.
    `reserve`: bytes of GPU memory to keep free. `prewarm`: sizes (width, height) in pixels to
    compile for at start. `cache`: folder for compiled kernels, None to keep none.
    """

    device: str = "auto"
    precision: str = "auto"
    default_precision: str = ""
    threads: int = 0
    reserve: int = 2 * 2**30
    levers_off: frozenset[str] = field(default_factory=frozenset)
    prewarm: tuple[tuple[int, int], ...] = ()
    cache: Path | None = None
