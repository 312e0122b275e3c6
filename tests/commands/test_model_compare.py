"""`manage.py model compare`: the report that a quantised precision needs before it may be the default."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from studio import storage
from studio.models import ModelEntry, QualityReport

DEMO = Path(__file__).resolve().parents[2] / "models" / "z-image-demo"
pytestmark = [pytest.mark.render, pytest.mark.django_db(transaction=True)]


def run(*arguments: object) -> str:
    out = StringIO()
    call_command("model", *[str(argument) for argument in arguments], stdout=out)
    return out.getvalue()


def test_a_precision_becomes_the_default_only_after_a_passed_report(tmp_path: Path) -> None:
    run("add", "demo", DEMO)
    with pytest.raises(CommandError, match="needs a passed quality report"):
        run("activate", "demo", "--precision", "int8wo")
    said = run("compare", "demo", "--precision", "int8wo", "--sheet", tmp_path / "sheet.png")
    assert "demo in int8wo: passed" in said
    report = QualityReport.objects.get()
    assert report.passed and report.checksum == ModelEntry.objects.get().sha256
    assert 24 < report.psnr < 100 and 0.9 < report.ssim < 1 and len(report.details["rows"]) == 8
    with storage.open_file(report.sheet_key) as stored, Image.open(BytesIO(stored.read())) as sheet:
        assert sheet.height > 8 * 200 and (tmp_path / "sheet.png").stat().st_size > 10_000
    assert "demo is active" in run("activate", "demo", "--precision", "int8wo")
    assert ModelEntry.objects.get().precision == "int8wo"


def test_what_this_machine_cannot_render_in_has_no_report() -> None:
    run("add", "demo", DEMO)
    with pytest.raises(CommandError, match="in fp8"):
        run("compare", "demo", "--precision", "fp8")
    assert not QualityReport.objects.exists()
