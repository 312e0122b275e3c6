"""The render engine: torch and diffusers, nothing of Django. Only the render worker loads it."""

import logging
import os

# Read once, when huggingface_hub is imported: a missing file must not become a slow download.
os.environ["HF_HUB_OFFLINE"] = "1"
# Idle torch threads sleep instead of spinning: the web processes share these cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# diffusers imports torchao when it is installed, which warns of kernels for other machines and of its own plans.
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)
