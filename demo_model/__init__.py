"""Trains the demo model: a small model of the Z-Image classes that renders on a CPU in about a second.

Needs torch, diffusers and transformers (the `render` group) and `npm`, which fetches the pictures it learns from.
Start it with `make demo-model`; `python -m demo_model --help` lists the stages.
"""
