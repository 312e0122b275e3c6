"""Canny edges of a picture. Loaded when the first ones are asked for: OpenCV is large."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

LOW, HIGH = 100, 200


def canny(image: Image.Image, low: int = LOW, high: int = HIGH) -> Image.Image:
    """The edges of `image` in white on black, RGB, at its size. `low`, `high`: Canny's two thresholds (0..255)."""
    edges = cv2.Canny(np.asarray(image.convert("L")), low, high)
    return Image.frombytes("L", image.size, edges.tobytes()).convert("RGB")
