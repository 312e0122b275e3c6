"""The pages of prompt templates."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from studio.domain.errors import Conflict
from studio.domain.states import AssetStatus
from studio.domain.templating import TemplateStatus
from studio.models import Activity, Asset, PromptTemplate, TemplateVersion
from studio.services import templates
from studio.services.templates import Content
from tests.conftest import Cast, SignIn
from tests.factories import asset
from tests.kits import TEXT_EN, template, version

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(cast: Cast) -> PromptTemplate:
    return template(cast.team, cast.marketer, slug="flowers", name_en="Flowers", name_zh="花")


def fields(**changed: Any) -> dict[str, Any]:
    """The editor with two variables."""
    return {
        "name_zh": "花", "name_en": "Flowers", "text_zh": "{tone}的{product}", "text_en": "a {tone} {product}",
        "seen": "",
        "row": ["0", "1"], "name-0": "product", "kind-0": "text", "required-0": "on", "default_zh-0": "玫瑰",
        "default_en-0": "rose", "max_length-0": "8", "name-1": "tone", "kind-1": "choice",
        "options-1": "红 | red\n粉 | pink", "set-steps": "6", "lock": ["steps", "text"]} | changed


def _url(name: str = "template", *arguments: object) -> str:
    return reverse(name, args=["flowers", *arguments])


def test_a_draft_is_kept_published_and_changed(cast: Cast, sign_in: SignIn, made: PromptTemplate) -> None:
    client = sign_in(cast.marketer)
    assert client.post(_url(), fields()).status_code == 302
    one = made.versions.get()
    assert (one.status, one.settings, one.locked) == (TemplateStatus.DRAFT, {"steps": 6}, ["text", "steps"])
    assert one.text.variable("tone").options[1].en == "pink"
    body = client.get(_url()).content.decode()
    words = re.sub(r"</?mark[^>]*>", "", body)
    assert "a red rose" in words and "红的玫瑰" in words and "红 | red" in body
    assert '<mark class="tk kb" title="tone">red</mark>' in body
    reviewer = sign_in(cast.reviewer)
    sent = fields(seen=one.edited_at.isoformat(), publish="1")
    assert reviewer.post(_url(), sent).status_code == 302
    one.refresh_from_db()
    assert (one.status, one.published_by) == (TemplateStatus.PUBLISHED, cast.reviewer)
    assert client.post(_url(), fields(text_en="one {tone} {product}")).status_code == 302
    assert list(made.versions.values_list("number", "status")) == [(2, "draft"), (1, "published")]
    shown = client.get(_url("template-versions")).content.decode()
    read = shown.replace('<span class="vh">removed: </span>', "").replace('<span class="vh">added: </span>', "")
    assert "<del>a</del><ins>one</ins>" in read and read != shown
    two = made.versions.get(number=2)
    assert reviewer.post(_url(), fields(
        text_en="one {tone} {product}", seen=two.edited_at.isoformat(), publish="1")).status_code == 302
    assert list(made.versions.values_list("number", "status")) == [(2, "published"), (1, "retired")]
    assert Activity.objects.filter(verb="template.published").count() == 2


def test_makers_save_and_reviewers_publish(cast: Cast, sign_in: SignIn, made: PromptTemplate) -> None:
    assert sign_in(cast.marketer).post(_url(), fields(publish="1")).status_code == 403
    assert not made.versions.filter(status=TemplateStatus.PUBLISHED).exists()


@pytest.mark.parametrize(("changed", "said"), [
    ({"text_en": "a {nobody}"}, "no such variable"), ({"text_zh": "{"}, "single"),
    ({"name-0": "Not a name"}, "small Latin letters"), ({"kind-0": "spell"}, "can&#x27;t be read"),
    ({"max_length-0": "many"}, "can&#x27;t be read"), ({"options-1": ""}, "something to choose from"),
    ({"default_en-0": "far too long a rose"}, "at most 8"), ({"name-1": "product"}, "two variables"),
    ({"set-steps": "99"}, "from 1 to 50"), ({"set-steps": "x"}, "from 1 to 50"), ({"set-guidance": "nan"}, "from 0 to"),
    ({"set-sampler": "heun"}, "no sampler"), ({"name_zh": "", "name_en": " "}, "Give the template a name"),
    ({"text_en": "x" * 2001}, "2001 characters"), ({"text_zh": "a\0b"}, "control characters"),
    ({"name_en": "a\0b"}, "plain text of at most"), ({"label_en-0": "a\0b"}, "control characters"),
    ({"options-1": "红 | re\0d"}, "control characters"), ({"set-negative": "\x07"}, "control characters"),
    ({"set-count": "0" * 4000 + "3"}, "from 1 to 8"), ({"formats": ["a\0b"]}, "formats"),
    ({"low-0": "1e999", "kind-0": "number"}, "can&#x27;t be read"),
    ({"kind-0": "number", "low-0": "3", "high-0": "1"}, "above its highest"),
])
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    cast: Cast, sign_in: SignIn, made: PromptTemplate, changed: dict[str, str], said: str,
) -> None:
    response = sign_in(cast.marketer).post(_url(), fields(note="kept", **changed))
    assert response.status_code == 422 and not made.versions.exists()
    assert said in response.content.decode() and 'value="kept"' in response.content.decode()


@pytest.mark.parametrize("changed", [
    {"row": ["x", "-1", "9" * 30]}, {"row": [str(n) for n in range(100)]}, {"seen": "yesterday"}, {"lock": ["nope"]},
    {"formats": ["nope"]}, {"seen": "2026-13-45T00:00"}, {"row": []},
])
def test_strange_posts_break_nothing(
    cast: Cast, sign_in: SignIn, made: PromptTemplate, changed: dict[str, Any],
) -> None:
    assert sign_in(cast.marketer).post(_url(), fields(**changed)).status_code in (302, 409, 422)
    assert sign_in(cast.marketer).get(_url()).status_code == 200


def test_rows_are_added_moved_and_removed_without_saving(cast: Cast, sign_in: SignIn, made: PromptTemplate) -> None:
    client = sign_in(cast.marketer)
    added = client.post(_url(), fields(add="1")).content.decode()
    assert added.count('name="row"') == 3
    dropped = client.post(_url(), fields(drop="0")).content.decode()
    assert dropped.count('name="row"') == 1 and 'value="product" placeholder' not in dropped
    moved = client.post(_url(), fields(up="1")).content.decode()
    assert moved.index('value="tone" placeholder') < moved.index('value="product" placeholder')
    assert not made.versions.exists()


def test_two_editors_never_overwrite_each_other(cast: Cast, sign_in: SignIn, made: PromptTemplate) -> None:
    client, other = sign_in(cast.marketer), sign_in(cast.reviewer)
    assert client.post(_url(), fields()).status_code == 302
    seen = made.versions.get().edited_at.isoformat()
    assert other.post(_url(), fields(text_en="their {tone} {product}", seen=seen)).status_code == 302
    late = client.post(_url(), fields(text_en="my {tone} {product}", seen=seen))
    assert late.status_code == 409 and "my {tone} {product}" in late.content.decode()
    assert "Somebody else has saved" in late.content.decode()
    assert made.versions.get().text_en == "their {tone} {product}"
    assert client.post(_url(), fields(seen="")).status_code == 409  # opened before there was any draft


def test_an_earlier_version_comes_back_as_a_draft(cast: Cast, sign_in: SignIn, made: PromptTemplate) -> None:
    version(made, TemplateStatus.RETIRED, text_en="first {product}")
    version(made)
    client = sign_in(cast.marketer)
    assert client.post(_url("template-act"), {"do": "back", "number": "1"}).status_code == 302
    assert made.versions.get(status=TemplateStatus.DRAFT).text_en == "first {product}"
    client.post(_url("template-act"), {"do": "back", "number": "2"})
    assert made.versions.filter(status=TemplateStatus.DRAFT).count() == 1


def test_sharing_and_archiving(cast: Cast, sign_in: SignIn, made: PromptTemplate) -> None:
    version(made)
    assert sign_in(cast.marketer).post(_url("template-act"), {"do": "share"}).status_code == 403
    assert sign_in(cast.stranger).get(_url()).status_code == 404
    assert sign_in(cast.admin).post(_url("template-act"), {"do": "share"}).status_code == 302
    stranger = sign_in(cast.stranger)
    assert stranger.get(_url()).status_code == 200
    assert stranger.post(_url(), fields()).status_code == 403
    assert b"Flowers" in stranger.get(reverse("templates") + "?tab=shared").content
    assert sign_in(cast.marketer).post(_url("template-act"), {"do": "archive"}).status_code == 302
    assert not TemplateVersion.objects.usable_in(cast.campaign).exists()
    assert b"Flowers" in sign_in(cast.marketer).get(reverse("templates") + "?tab=archived").content


@pytest.mark.parametrize("do", ["", "nope", "back"])
def test_nothing_to_do(cast: Cast, sign_in: SignIn, made: PromptTemplate, do: str) -> None:
    assert sign_in(cast.marketer).post(_url("template-act"), {"do": do, "number": "x"}).status_code == 404


def test_usage_and_approval_stand_in_the_list(cast: Cast, sign_in: SignIn, made: PromptTemplate) -> None:
    one = version(made)
    for status in (AssetStatus.APPROVED, AssetStatus.APPROVED, AssetStatus.CHANGES, AssetStatus.DRAFT):
        batch = asset(cast.campaign, status=status).job.batch
        type(batch).objects.filter(pk=batch.pk).update(version=one)
    row: Any = templates.with_numbers(PromptTemplate.objects.all()).get()
    assert (row.pictures, row.approved, row.decided, row.rate) == (4, 2, 3, 66)
    assert "66 %" in sign_in(cast.viewer).get(reverse("templates")).content.decode()


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_files_go_out_and_come_in_the_same(cast: Cast, sign_in: SignIn, made: PromptTemplate, kind: str) -> None:
    one = version(made, settings={"steps": 4}, locked=["steps"])
    client = sign_in(cast.marketer)
    sent = client.get(_url("template-file", kind))
    assert f'filename="flowers.{kind}"' in sent.headers["Content-Disposition"]
    response = client.post(reverse("new-template"), {"file": SimpleUploadedFile(f"back.{kind}", sent.content)})
    copy = TemplateVersion.objects.exclude(pk=one.pk).get()
    assert response.status_code == 302 and copy.status == TemplateStatus.DRAFT
    assert (copy.text, copy.text_en) == (one.text, TEXT_EN)
    if kind == "json":
        assert (copy.settings, copy.locked, copy.template.name_zh) == ({"steps": 4}, ["steps"], "花")


@pytest.mark.parametrize("data", [
    b"", b"\xff\xfe\x00", b"{", b"[]", b"{}", b'{"name": 5, "text": {}}', b'{"name": {}, "text": {"zh": "{x}"}}',
    b"name,kind\nx,spell\n", b"a,b\n1,2\n", b"\0", b"[" * 100_000, b"{" + b'"a":[' * 50_000, b"x" * 300_000,
    b'name,kind\n"x', b'{"name": {}, "text": {}, "settings": {"steps": 1e9}}',
    b'{"name": {}, "text": {}, "settings": 5}',
    b'{"name": {}, "text": {"zh": "a\\u0000b"}}', b'{"name": {}, "text": {"en": "\\ud800"}}',
    b'{"name": {"en": "\\u0000"}, "text": {}}', b'{"name": {"zh": "\\udfff"}, "text": {}}',
    b'{"name": {}, "text": {}, "settings": {"formats": ["\\u0000"]}}',
    b'{"name": {}, "text": {}, "settings": {"steps": "' + b"0" * 5000 + b'8"}}',
    b'{"name": {}, "text": {}, "settings": {"negative": "\\u0007"}}',
    b'{"name": {}, "text": {}, "variables": [{"name": "x", "kind": "text", "max_length": 1e999}]}',
    b'{"name": {}, "text": {}, "variables": [{"name": "x", "kind": "number", "low": ' + b"9" * 400 + b"}]}",
    b'{"name": {}, "text": {}, "variables": [{"name": "x", "kind": "text", "label": {"en": "\\u0000"}}]}',
    b'{"name": {}, "text": {}, "variables": [{"name": "x", "kind": "choice", "options": ["\\ud83d", "b"]}]}',
    b'{"name": {}, "text": {}, "variables": [{"name": "x", "kind": "text", "default": "' + b"y" * 999 + b'"}]}',
])
def test_a_file_that_is_no_template_is_refused(cast: Cast, sign_in: SignIn, data: bytes) -> None:
    response = sign_in(cast.marketer).post(reverse("new-template"), {"file": SimpleUploadedFile("x.json", data)})
    assert response.status_code in (302, 422)
    assert PromptTemplate.objects.exists() == (response.status_code == 302)
    if response.status_code == 302:
        assert data == b""  # the browser sent no file


def test_a_picture_becomes_a_template(cast: Cast, sign_in: SignIn) -> None:
    done: Asset = asset(cast.campaign)
    done.job.batch.prompt_en = "a {red} rose"
    done.job.batch.save()
    response = sign_in(cast.marketer).post(reverse("template-from-picture", args=[done.pk]))
    one = TemplateVersion.objects.get()
    assert response.status_code == 302 and one.text_en == "a {{red}} rose" and one.settings["steps"] == 8
    assert one.text.fill({}) == ("", "a {red} rose")


def test_publishing_twice_or_nothing(cast: Cast, made: PromptTemplate) -> None:
    with pytest.raises(Conflict):
        templates.publish(user=cast.reviewer, template=made, seen=timezone.now())
    draft = templates.save_draft(user=cast.reviewer, template=made, content=Content(en="a rose"), seen=None, name_zh="",
                                 name_en="Flowers")
    with pytest.raises(Conflict, match="saved this template since"):
        templates.publish(user=cast.reviewer, template=made, seen=draft.edited_at - timedelta(seconds=1))
    templates.publish(user=cast.reviewer, template=made, seen=draft.edited_at)
    with pytest.raises(Conflict):
        templates.publish(user=cast.reviewer, template=made, seen=draft.edited_at)


def test_the_lists_ask_few_questions(
    cast: Cast, sign_in: SignIn, django_assert_max_num_queries: Any,
) -> None:
    for number in range(8):
        version(template(cast.team, cast.marketer, name_en=f"T{number}"))
    client = sign_in(cast.marketer)
    with django_assert_max_num_queries(16):
        assert client.get(reverse("templates")).content.count(b'href="/templates/template-') >= 8
