"""Model files on disk: what they say of themselves, whether they are whole, and their checksums.

Reads files only; neither torch nor the render engine is needed. Everything is checked before it is
believed, and every refusal is a ModelUnusable that names the file and, where there is one, the tensor.
"""

from __future__ import annotations

from studio.checkpoint.adapters import ControlInfo, LoraInfo, inspect_controlnet, inspect_lora
from studio.checkpoint.card import card_from
from studio.checkpoint.digests import checksum, checksum_file, checksum_files, hashed_files
from studio.checkpoint.files import CONFIGS, verify_files
from studio.checkpoint.folder import read_card, verify
from studio.checkpoint.header import read_header
from studio.checkpoint.world import read_world

__all__ = [
    "CONFIGS", "ControlInfo", "LoraInfo", "card_from", "checksum", "checksum_file", "checksum_files", "hashed_files",
    "inspect_controlnet", "inspect_lora", "read_card", "read_header", "read_world", "verify",
    "verify_files",
]
