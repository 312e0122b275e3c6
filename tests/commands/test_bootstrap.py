"""The demo: made once, of words that the demo model knows, with pictures at the first look."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.urls import reverse

from studio import checkpoint
from studio.domain.variables import Value
from studio.domain.world import EXAMPLES
from studio.management import demo
from studio.management.demotemplates import PRODUCTS, TEMPLATES
from studio.models import AdFormat, Asset, Campaign, Product, RenderJob, Team, TemplateVersion, User
from studio.services import quotas, rendering
from tests.conftest import Cast, SignIn
from tests.factories import balance, job
from tests.services.fake import FlatRenderer

WORLD = Path(settings.BASE_DIR) / "models" / "z-image-demo" / "world.json"
PICTURES = sum(shot.count for plan in demo.CAMPAIGNS for shot in plan.shots)


@pytest.fixture
def made(db: None) -> Any:
    """The demo, with nothing rendered yet."""
    call_command("bootstrap", url="http://127.0.0.1:8123")
    yield json.loads((settings.VAR_DIR / "demo-logins.json").read_text(encoding="utf-8"))
    (settings.VAR_DIR / "demo-logins.json").unlink()


def render_all() -> None:
    """As the worker would."""
    while rendering.run_next(FlatRenderer(), "worker-1"):
        pass


def test_the_demo_is_made_once_and_its_passwords_are_kept_safe(made: dict[str, Any]) -> None:
    file = settings.VAR_DIR / "demo-logins.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made["url"] == "http://127.0.0.1:8123"
    assert [a["role"] for a in made["accounts"]] == ["marketer", "reviewer", "admin"]
    for login in made["accounts"]:
        user = User.objects.get(email=login["email"])
        assert user.check_password(login["password"]) and len(login["password"]) >= 10
        assert user.roles[Team.objects.get().pk] == login["role"]
    assert Campaign.objects.count() == 4 and RenderJob.objects.count() == PICTURES == 16
    assert balance(Team.objects.get()) == (16, 0) and quotas.mismatches() == []
    call_command("bootstrap", url="http://127.0.0.1:8999")
    again = json.loads(file.read_text(encoding="utf-8"))
    assert again == made | {"url": "http://127.0.0.1:8999"} and RenderJob.objects.count() == PICTURES


def test_there_is_no_demo_in_production(db: None, settings: Any) -> None:
    settings.EMBEDDED = False
    with pytest.raises(CommandError, match="only in the embedded shape"):
        call_command("bootstrap")
    assert not User.objects.exists()


def test_every_prompt_is_of_words_that_the_model_knows() -> None:
    """In both languages the same thing, colour and kind of background."""
    world = checkpoint.read_world(settings.BASE_DIR / "models" / "z-image-demo")
    assert world
    samples = json.loads((settings.BASE_DIR / "static" / "img" / "samples.json").read_text(encoding="utf-8"))
    prompts = [(shot.zh, shot.en) for plan in demo.CAMPAIGNS for shot in plan.shots]
    prompts += [(word.name_zh, word.name_en) for word in EXAMPLES]
    prompts += [tuple(sample["prompt"].split(" | ")) for sample in samples]
    unknown = [en for zh, en in prompts if not (
        any(thing.name_zh in zh and re.search(rf"\b{thing.name_en}\b", en) for thing in world.things)
        and any(ground.name_zh + style.name_zh in zh and style.name_en in re.sub(rf"\b{ground.name_en} ", "", en)
                for ground in world.grounds for style in world.styles))]
    assert unknown == []


@pytest.mark.parametrize("number", range(len(demo.CAMPAIGNS)))
def test_a_press_of_render_gives_four_good_pictures(made: dict[str, Any], sign_in: SignIn, number: int) -> None:
    plan = demo.CAMPAIGNS[number]
    known = set(AdFormat.objects.filter(active=True).values_list("key", flat=True))
    assert known >= set(plan.formats) >= {shot.format for shot in plan.shots}
    campaign = Campaign.objects.get(name_en=plan.en)
    page = sign_in(User.objects.get(email=demo.PEOPLE[0][1])).get(reverse("studio", args=[campaign.slug]))
    form = page.context["form"]
    assert (form["prompt_zh"].value(), form["prompt_en"].value()) == (plan.shots[-1].zh, plan.shots[-1].en)
    assert page.context["pictures"] == 4 and form.chosen() == set(plan.formats[:2])


def test_the_demo_reviewer_decides_on_what_is_there(made: dict[str, Any]) -> None:
    demo.review()
    assert not Asset.objects.exists()
    render_all()
    demo.review()
    statuses = list(Asset.objects.values_list("status", flat=True))
    assert [statuses.count(name) for name in ("approved", "in_review", "draft")] == [2, 2, 12]


def test_a_first_start_waits_for_its_pictures_and_says_how_far_they_are(made: dict[str, Any]) -> None:
    said: list[str] = []
    first = demo.FirstPictures(said.append)
    assert not first.are_there() and not first.are_there()
    assert said == ["Rendering the first pictures: 0 of 16"]
    render_all()
    assert first.are_there() and Asset.objects.filter(status="approved").count() == 2


def test_a_first_start_does_not_wait_for_ever(cast: Cast) -> None:
    job(cast.campaign)
    for email in (email for _role, email, _name, _language in demo.PEOPLE):
        User.objects.create(email=email, name="x")
    assert demo.FirstPictures(lambda line: None, seconds=0).are_there()


def test_its_templates_are_offered_and_speak_of_its_products(made: dict[str, Any], sign_in: SignIn) -> None:
    campaign, things = Campaign.objects.all()[0], json.loads(WORLD.read_text(encoding="utf-8"))["things"]
    offered = list(TemplateVersion.objects.usable_in(campaign))
    assert (len(offered), Product.objects.count()) == (len(TEMPLATES), len(PRODUCTS)) == (3, 5)
    drawn = {thing["en"] for thing in things} | {"cup of tea"}
    goods = list(Product.objects.all())
    assert {one.name_en.removeprefix("a ") for one in goods} <= drawn
    ware = Value(goods[0].name_zh, goods[0].name_en)
    for one in offered:
        given = {hole.name: hole.default if not hole.default.empty else next(iter(hole.options), ware)
                 for hole in one.text.variables}
        zh, en = one.text.fill(one.text.clean(given))
        assert any(name in en for name in drawn) and not set("{}") & set(zh + en)
