"""The pages of sheets."""

from __future__ import annotations

import csv
import io
import zipfile
from hashlib import sha256
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from studio.models import AdFormat, BulkRun, QuotaAccount, RenderBatch, RenderJob, TemplateVersion
from studio.services import feeding, rendering
from tests.conftest import Cast, SignIn
from tests.factories import account
from tests.kits import template, version
from tests.services.fake import FlatRenderer

pytestmark = pytest.mark.django_db
TEXT = "sku,product,tone\nA-1,红玫瑰,粉色\nA-2,,粉色\nA-3,=cmd,绿色\n"


@pytest.fixture
def made(cast: Cast) -> TemplateVersion:
    return version(template(cast.team, cast.marketer))


def send(client: Any, cast: Cast, made: TemplateVersion, text: str = TEXT, **fields: Any) -> Any:
    return client.post(reverse("bulk", args=[cast.campaign.slug]), {
        "version": made.pk, "file": SimpleUploadedFile("tea.csv", text.encode())} | fields)


def act(client: Any, **fields: Any) -> Any:
    return client.post(reverse("bulk-act", args=[BulkRun.objects.get().pk]), fields)


def test_upload_see_correct_queue_and_download(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    client = sign_in(cast.marketer)
    path = send(client, cast, made).headers["Location"]
    body = client.get(path).content.decode()
    assert "1 row can be rendered" in body and "2 faulty rows" in body and "is a formula" in body
    assert "tea.csv" in client.get(reverse("bulk", args=[cast.campaign.slug])).content.decode()
    checked = b"".join(client.get(f"{path}checked.csv")).decode("utf-8-sig")
    lines = list(csv.reader(io.StringIO(checked)))
    assert lines[0] == ["sku", "product", "tone", "Problems"] and lines[3][1] == "'=cmd" and "formula" in lines[3][3]
    assert act(client, do="fix", number="2", **{"cell-0": "A-2", "cell-1": "茶", "cell-2": "粉色"}).status_code == 302
    assert "2 rows can be rendered" in client.get(path).content.decode()
    assert act(client, do="queue", formats=["taobao-main"], count="2").status_code == 302
    assert RenderBatch.objects.count() == 2
    while rendering.run_next(FlatRenderer(), "worker-1"):
        pass
    feeding.feed_all()
    body = client.get(path).content.decode()
    assert "4 pictures done" in body and "Done" in body
    data = b"".join(client.get(f"{path}results.zip"))
    archive = zipfile.ZipFile(io.BytesIO(data))
    names = archive.namelist()
    assert len(names) == 5 and names[-1] == "manifest.csv" and archive.testzip() is None
    manifest = list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode("utf-8-sig"))))
    assert [row["sku"] for row in manifest] == ["A-1", "A-1", "A-2", "A-2"]
    for row in manifest:
        assert sha256(archive.read(row["file"])).hexdigest() == row["sha256"] and row["note"] == ""
    AdFormat.objects.update(max_bytes=100)  # which no picture fits into
    small = zipfile.ZipFile(io.BytesIO(b"".join(client.get(f"{path}results.zip"))))
    assert {row["note"] for row in csv.DictReader(io.StringIO(small.read("manifest.csv").decode("utf-8-sig")))} == {
        "bytes"}
    assert small.read(names[0])[:2] == b"\xff\xd8"  # a JPEG all the same
    assert len(list(zipfile.ZipFile(io.BytesIO(b"".join(client.get(f"{path}results.zip?approved")))).namelist())) == 1


@pytest.mark.parametrize(("fields", "said"), [
    ({"version": ""}, "Choose a template"), ({"version": "x"}, "Choose a template"),
    ({"file": SimpleUploadedFile("x.csv", b"a\n\0")}, "NUL"),
    ({"file": SimpleUploadedFile("x.csv", b"a,a\n1")}, "Two columns"),
    ({"file": ""}, "Choose a file first"), ({"file": SimpleUploadedFile("x.xlsx", b"PK\x03\x04")}, "no workbook"),
])
def test_what_cannot_be_taken_in_is_said(
    cast: Cast, sign_in: SignIn, made: TemplateVersion, fields: dict[str, Any], said: str,
) -> None:
    response = send(sign_in(cast.marketer), cast, made, **fields)
    assert response.status_code == 422 and said in response.content.decode() and not BulkRun.objects.exists()


@pytest.mark.parametrize(("fields", "status"), [
    ({"do": "queue", "count": "1"}, 422), ({"do": "queue", "count": "x", "formats": ["taobao-main"]}, 422),
    ({"do": "queue", "count": "1", "formats": ["nope"]}, 422), ({"do": "fix", "number": "x"}, 404),
    ({"do": "fix", "number": "99"}, 409), ({"do": "explode"}, 404), ({}, 404), ({"do": "retry"}, 302),
    ({"do": "resume"}, 302), ({"do": "map", "map-product-zh": "nope\0"}, 302),
    ({"do": "queue", "count": "1", "formats": ["taobao-main"], "marked": "1", "row": ["x", "9" * 20, "2"]}, 422),
    ({"do": "queue", "count": "1", "formats": ["taobao-main"], "marked": "1"}, 422),
    ({"do": "fix", "number": "1", "cell-0": "\0", "cell-1": "x" * 5000}, 302),
])
def test_strange_acts(
    cast: Cast, sign_in: SignIn, made: TemplateVersion, fields: dict[str, Any], status: int,
) -> None:
    client = sign_in(cast.marketer)
    path = send(client, cast, made).headers["Location"]
    assert act(client, **fields).status_code == status
    assert not RenderJob.objects.exists() and client.get(path).status_code == 200


@pytest.mark.parametrize("query", [
    "show=faulty", "show=warned", "show=ready", "show=failed", "show=x", "page=x", "page=999"])
def test_the_rows_can_be_narrowed(cast: Cast, sign_in: SignIn, made: TemplateVersion, query: str) -> None:
    client = sign_in(cast.viewer)
    path = send(sign_in(cast.marketer), cast, made).headers["Location"]
    assert client.get(f"{path}?{query}").status_code == 200


def test_other_teams_see_none_of_it(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    path = send(sign_in(cast.marketer), cast, made).headers["Location"]
    stranger = sign_in(cast.stranger)
    assert [stranger.get(f"{path}{rest}").status_code for rest in ("", "checked.csv", "results.zip")] == [404] * 3
    assert act(stranger, do="cancel").status_code == 404


def test_what_no_database_keeps_is_left_out(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    client = sign_in(cast.marketer)
    path = reverse("bulk", args=[cast.campaign.slug])
    sent = {"version": made.pk, "matrix": "1", "m-product": "花\0", "m-tone": "粉色\0\n\0"}
    assert client.post(path, sent).status_code == 302
    assert act(client, do="map", **{"map-tone-value": "蓝\0色"}).status_code == 302
    assert BulkRun.objects.get().mapping["tone"] == {"value": "蓝色"}


def test_only_the_marked_rows_are_rendered(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    client = sign_in(cast.marketer)
    path = send(client, cast, made, "sku,product,tone\n" + "A,花,粉色\n" * 5).headers["Location"]
    assert client.get(path).content.decode().count('name="row"') == 5
    act(client, do="queue", formats=["taobao-main"], count="1", marked="1", row=["2", "4"])
    assert sorted(RenderBatch.objects.values_list("bulk_row__number", flat=True)) == [2, 4]


def test_combinations_without_a_file(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    client = sign_in(cast.marketer)
    path = reverse("bulk", args=[cast.campaign.slug])
    assert 'name="m-tone"' in client.get(f"{path}?template={made.pk}").content.decode()
    response = client.post(path, {
        "version": made.pk, "matrix": "1", "m-product": "花 | flower\n茶", "m-tone": "粉色\n蓝色"})
    assert response.status_code == 302 and BulkRun.objects.get().rows.count() == 4


def test_a_page_of_many_rows_asks_few_questions(
    cast: Cast, sign_in: SignIn, made: TemplateVersion, django_assert_max_num_queries: Any,
) -> None:
    QuotaAccount.objects.filter(pk=account(cast.team).pk).update(limit=1000)
    client = sign_in(cast.marketer)
    path = send(client, cast, made, "sku,product,tone\n" + "A,花,粉色\n" * 200).headers["Location"]
    act(client, do="queue", formats=["taobao-main"], count="1")
    with django_assert_max_num_queries(26):
        body = client.get(path).content.decode()
    assert 'hx-trigger="every 3s"' in body and "1 / 4" in body
