"""A worker follows the registry: it changes its model between two pictures, and makes the checks asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from studio.models import Asset, ModelEntry, RenderJob, Worker
from studio.services import models, renders
from tests import tiny
from tests.conftest import Cast
from tests.factories import render_request
from tests.worker.conftest import RenderWorker, state, until

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.xdist_group("worker")]
VAE = "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def follower(cast: Cast, broker: str, tmp_path: Path) -> Iterator[RenderWorker]:
    """A ready worker without MODEL_DIR: at first the demo model is loaded."""
    made = RenderWorker(tmp_path, broker, None)
    made.start()
    yield made
    made.clear()


def ask(cast: Cast, seed: int) -> RenderJob:
    batch = renders.request_render(
        user=cast.marketer, campaign=cast.campaign, request=render_request(count=1, seed=seed),
        card=models.current().card, today=timezone.localdate(), request_key=uuid4())
    return batch.jobs.get()


def rendered_with(job: RenderJob) -> str:
    until(lambda: state(job) in ("done", "failed"), what="the picture")
    return str(Asset.objects.get(job=job).recipe["model"])


@pytest.mark.usefixtures("real_queue")
def test_the_worker_follows_the_registry(
    follower: RenderWorker, cast: Cast, folder: Path, tmp_path: Path,
) -> None:
    assert rendered_with(ask(cast, 1)) == "Z-Image demo"
    entry = models.add(name="tiny", paths={"folder": folder})
    models.activate(name="tiny")
    until(lambda: Worker.objects.get(name="worker-t").model_sha256 == entry.sha256, what="the new model")
    assert rendered_with(ask(cast, 2)) == "Tiny"

    models.request_check(user=cast.superuser, name="tiny")
    until(lambda: ModelEntry.objects.get().check_asked_at is None, what="the check")

    # One that can't be loaded: the page says why, nothing is rendered, and the process ends for its supervisor.
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    models.add(name="broken", paths={"folder": broken})
    (broken / VAE).write_bytes((broken / VAE).read_bytes()[:-1])
    models.activate(name="broken")
    assert follower.ends() == 1
    found = ModelEntry.objects.get(name="broken")
    assert found.state == "broken" and "is incomplete" in str(found.problem)
    assert Worker.objects.get(name="worker-t").state == Worker.State.STOPPED

    # Another one is activated: the next process renders with it.
    models.activate(name="tiny")
    follower.start()
    assert Worker.objects.get(name="worker-t").model_sha256 == entry.sha256
    assert json.loads((settings.VAR_DIR / "checksums.json").read_text())
