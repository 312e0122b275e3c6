"""What is known of the formats' rules: white backgrounds, and what platforms cover of a picture."""

from __future__ import annotations

from typing import Any

from django.db import migrations

WHITE = ("taobao-white", "amazon-main")


def _zone(kind: str, x: float, y: float, w: float, h: float, zh: str, en: str) -> dict[str, Any]:
    return {"kind": kind, "x": x, "y": y, "w": w, "h": h, "note_zh": zh, "note_en": en}


# From the notes of studio/data/formats.csv: content within x <= 950 and y <= 1590 of 1080 x 1920 px; the centre of
# 1080 x 1420 px; the key content in the centre; the logo off the edges.
ZONES = {
    "douyin-9x16": [_zone("text", 0, 0, 950 / 1080, 1590 / 1920, "内容放在这里", "Keep the content here")],
    "story-9x16": [_zone("text", 0, 250 / 1920, 1, 1420 / 1920, "内容放在这里", "Keep the content here")],
    "wechat-lead": [_zone("text", (900 - 383) / 1800, 0, 383 / 900, 1, "方形裁切后仍可见", "Stays when it is cropped square")],
    "wechat-moments": [_zone("text", 0.1, 0.1, 0.8, 0.8, "标识离开边缘", "Keep the logo off the edges")],
}


def fill(apps: Any, schema_editor: Any) -> None:
    """Only what nobody has changed."""
    formats = apps.get_model("studio", "AdFormat").objects
    formats.filter(pk__in=WHITE).update(white_background=True)
    for key, zones in ZONES.items():
        formats.filter(pk=key, safe_zones=[]).update(safe_zones=zones)


class Migration(migrations.Migration):
    """Rows only."""

    dependencies = [("studio", "0015_terms")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
