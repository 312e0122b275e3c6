"""Templates as files, copies, and taking them out of use."""

from __future__ import annotations

from typing import Any

import pytest

from studio.domain import templatefiles
from studio.domain.errors import Conflict, Forbidden, Invalid
from studio.domain.templating import TemplateStatus, TemplateText
from studio.domain.textfiles import decode
from studio.domain.variables import Value, Variable, VariableKind
from studio.models import Activity, PromptTemplate, TemplateVersion
from studio.services import templates
from studio.services.templates import Content
from tests.conftest import Cast
from tests.kits import template, version
from tests.web.world import World, make_world

pytestmark = pytest.mark.django_db

STRANGE = TemplateText("「{tone}」, {{x}} \"q\"\n{size}{product}", "a {tone}\n{note} {size} {product}", (
    Variable("tone", VariableKind.CHOICE, Value("色调", "tone, please"), default=Value("红", "red"), options=(
        Value("红", "red"), Value("青|蓝", "teal | blue"), Value("", "only English"), Value("只有中文", ""),
        Value('"引号"', "=1+1"))),
    Variable("note", VariableKind.TEXT, required=False, max_length=12, default=Value("", "a, b")),
    Variable("size", VariableKind.NUMBER, low=-0.1, high=1234567.125),
    Variable("tint", VariableKind.COLOUR, required=False, default=Value("#C8102E", "#C8102E")),
    Variable("product", VariableKind.PRODUCT), Variable("start", VariableKind.PICTURE, required=False)))


@pytest.fixture
def made(cast: Cast) -> PromptTemplate:
    return template(cast.team, cast.marketer, name_en="Flowers", name_zh="花")


def test_files_say_all_that_a_template_says() -> None:
    settings: dict[str, Any] = {"steps": 6, "guidance": 0.5, "formats": ["taobao-main"]}
    text = templatefiles.to_json(Value("花", ""), STRANGE, settings, ["text"])
    assert templatefiles.read(text.encode()) == (Value("花", ""), STRANGE, settings, ["text"])
    table = templatefiles.to_csv(STRANGE)
    for encoding in ("utf-8", "utf-8-sig", "gb18030"):
        assert templatefiles.read(table.encode(encoding))[1] == STRANGE, encoding
    assert templatefiles.read(table.replace("\r\n", "\n").encode())[1] == STRANGE
    assert templatefiles.read(templatefiles.to_csv(templatefiles.read(table.encode())[1]).encode())[1] == STRANGE


@pytest.mark.parametrize("data", [b"\xff\xfe1\x00", b"a\0b", b"\x81"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        decode(data, limit=10)


def test_a_template_is_taken_out_of_use(cast: Cast, made: PromptTemplate) -> None:
    with pytest.raises(Conflict):
        templates.retire(user=cast.reviewer, template=made)
    version(made)
    with pytest.raises(Forbidden):
        templates.retire(user=cast.marketer, template=made)
    templates.retire(user=cast.reviewer, template=made)
    assert made.versions.get().status == TemplateStatus.RETIRED
    assert not TemplateVersion.objects.usable_in(cast.campaign).exists()
    assert Activity.objects.get().verb == "template.retired"
    with pytest.raises(Conflict):
        templates.retire(user=cast.reviewer, template=made)


def test_a_copy_is_a_draft_of_ones_own_team(cast: Cast, made: PromptTemplate) -> None:
    stranger = cast.person("stranger")
    with pytest.raises(Conflict):
        templates.duplicate(user=cast.marketer, template=made, team=cast.team)
    one = version(made, note="why", settings={"steps": 4}, locked=["steps"])
    with pytest.raises(Forbidden):
        templates.duplicate(user=stranger, template=made, team=cast.team)
    copy = templates.duplicate(user=stranger, template=made, team=cast.other_team)
    draft = copy.versions.get()
    assert (copy.name_zh, copy.name_en, copy.team, copy.shared) == ("花 副本", "Flowers copy", cast.other_team, False)
    assert (draft.status, draft.text, draft.settings, draft.locked) == (
        TemplateStatus.DRAFT, one.text, {"steps": 4}, ["steps"]) and draft.note == ""


def test_a_draft_begun_is_told_once(cast: Cast, made: PromptTemplate) -> None:
    seen = None
    for text in ("a", "b", "c"):
        seen = templates.save_draft(user=cast.marketer, template=made, content=Content(en=f" {text}\r\n"), seen=seen,
                                    name_zh="花", name_en="").edited_at
    assert made.versions.get().text_en == "c"
    assert list(Activity.objects.values_list("verb", flat=True)) == ["template.drafted"]


def test_control_tokens_are_taken_out_of_a_template(cast: Cast) -> None:
    made = templates.create(user=cast.marketer, team=cast.team, name_zh="", name_en="x",
                            content=Content(en="a <|im_end|>rose"))
    assert made.versions.get().text_en == "a rose"


def test_a_shared_template_gives_its_words_not_its_holes(cast: Cast) -> None:
    """A picture made with another team's template becomes a template of what was asked for."""
    world: World = make_world(cast)
    theirs = version(template(cast.other_team, cast.stranger, shared=True))
    batch = world.approved.job.batch
    batch.version, batch.prompt_zh = theirs, "红{玫瑰}"
    batch.save()
    made = templates.from_picture(user=cast.marketer, asset=world.approved).versions.get()
    assert made.variables == [] and made.text.fill({}) == ("红{玫瑰}", batch.prompt_en)
