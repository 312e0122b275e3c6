"""The render engine: torch and diffusers, nothing of Django. Only the render worker loads it."""

import os

# Read once, when huggingface_hub is imported: a missing file must not become a slow download.
os.environ["HF_HUB_OFFLINE"] = "1"
# Idle torch threads sleep instead of spinning: the web processes share these cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
