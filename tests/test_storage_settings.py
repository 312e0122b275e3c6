"""What STORAGE=s3 and its variables make of the storage, without a server."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from studio import storage
from tests.s3_server import ROOT, answer, settings_from

KEY = storage.asset_key(UUID("00000000-0000-4000-8000-000000000001"), "ab" * 32, "png")
OSS = {"S3_ENDPOINT_URL": "https://oss-cn-hangzhou.aliyuncs.com", "S3_ADDRESSING": "virtual"}
GOOD = {"S3_BUCKET": "pictures", "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "tell-nobody"}


def client(settings: Settings, **variables: str) -> Any:
    """Use the storage that these variables set up; its boto3 client."""
    made = settings_from(**(GOOD | variables))
    settings.STORAGES = settings.STORAGES | {"default": made["STORAGES"]["default"]}
    bucket = storage._bucket()
    assert bucket
    return bucket.client


@pytest.mark.parametrize(("variables", "named"), [
    ({"S3_BUCKET": ""}, "S3_BUCKET"), ({"S3_ENDPOINT_URL": "foo"}, "S3_ENDPOINT_URL")])
def test_a_process_with_nonsense_does_not_start(variables: dict[str, str], named: str, tmp_path: Path) -> None:
    others = {name: value for name, value in os.environ.items() if not name.startswith("S3_")}
    done = subprocess.run(
        [sys.executable, "-c", "import zimage_web.settings"], cwd=ROOT, capture_output=True, text=True, check=False,
        env=others | {"VAR_DIR": str(tmp_path), "STORAGE": "s3"} | GOOD | variables)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"django.core.exceptions.ImproperlyConfigured: {named}")
    assert "tell-nobody" not in done.stderr


@pytest.mark.parametrize(("variables", "said"), [
    ({"S3_BUCKET": ""}, "^S3_BUCKET"), ({"S3_ENDPOINT_URL": "ftp://127.0.0.1"}, "^S3_ENDPOINT_URL"),
    ({"S3_ADDRESSING": "sideways"}, "^S3_ADDRESSING"), ({"S3_ACCESS_KEY": ""}, "^S3_ACCESS_KEY"),
    ({"S3_SECRET_KEY": ""}, "S3_SECRET_KEY"), ({"SIGNED_LINK_SECONDS": "soon"}, "^SIGNED_LINK_SECONDS")])
def test_nonsense_is_refused_with_the_variables_name(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        settings_from(**(GOOD | variables))


def test_waits_are_short_and_the_signature_is_version_4(settings: Settings) -> None:
    config = client(settings, S3_ADDRESSING="path").meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 20)
    assert (config.retries["mode"], config.retries["total_max_attempts"]) == ("standard", 3)
    assert (config.signature_version, config.s3["addressing_style"]) == ("s3v4", "path")


@pytest.mark.parametrize(("variables", "start"), [
    (OSS, f"https://pictures.oss-cn-hangzhou.aliyuncs.com/{KEY}?"),
    (OSS | {"S3_ADDRESSING": "path"}, f"https://oss-cn-hangzhou.aliyuncs.com/pictures/{KEY}?"),
    ({"S3_ENDPOINT_URL": "http://minio:9000"}, f"http://minio:9000/pictures/{KEY}?"),
    ({"S3_REGION": "eu-central-1"}, f"https://pictures.s3.amazonaws.com/{KEY}?"),
])
def test_signed_links_have_the_stores_own_form(settings: Settings, variables: dict[str, str], start: str) -> None:
    client(settings, SIGNED_LINK_SECONDS="120", **variables)
    link = storage.signed_url(KEY)
    assert link and link.startswith(start)
    query = parse_qs(urlsplit(link).query)
    assert query["X-Amz-Expires"] == ["120"] and query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert "tell-nobody" not in link


def test_uploads_over_https_are_not_chunked(settings: Settings) -> None:
    """Alibaba's OSS refuses `aws-chunked` bodies, which boto3 sends over HTTPS unless told otherwise."""
    sent: list[AWSPreparedRequest] = []

    def accept(request: AWSPreparedRequest, **_rest: object) -> AWSResponse:
        sent.append(request)
        return answer(200)

    client(settings, **OSS).meta.events.register("before-send.s3.PutObject", accept)
    storage.put(KEY, b"picture", "image/png")
    assert [request.url for request in sent] == [f"https://pictures.oss-cn-hangzhou.aliyuncs.com/{KEY}"]
    headers = {name.lower(): value for name, value in sent[0].headers.items()}
    assert "content-encoding" not in headers and "x-amz-trailer" not in headers
    assert headers["x-amz-content-sha256"].decode() == sha256(b"picture").hexdigest()
    assert headers["content-type"] == b"image/png"
