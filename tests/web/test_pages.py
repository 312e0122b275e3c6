"""What the pages do when all is well: the road of a picture without JavaScript, and with htmx."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils import timezone

from studio.domain.states import JobStatus
from studio.models import Asset, RenderBatch, RenderJob, Worker
from tests.conftest import Cast, SignIn
from tests.factories import BatchFactory, asset, job
from tests.web.world import World, composer


def _said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def _undo(page: Any) -> str:
    """The address of the undo form on a page."""
    found = re.findall(r'action="(/review/\d+/(?:reopen|withdraw)/)"', unescape(page.content.decode()))
    assert found, "no undo on the page"
    return str(found[0])


def test_the_whole_road_without_javascript(world: World, sign_in: SignIn) -> None:
    slug, made = world.cast.campaign.slug, world.draft
    marketer, reviewer = (sign_in(world.cast.person(who), Accept_Language="en") for who in ("marketer", "reviewer"))
    answer = marketer.post(reverse("create-render", args=[slug]), composer(count="2"), follow=True)
    assert answer.status_code == 200 and answer.redirect_chain == [(reverse("studio", args=[slug]), 302)]
    newest = RenderBatch.objects.latest("pk")
    assert all(str(j.pk) in answer.content.decode() for j in newest.jobs.all())
    picked = marketer.post(reverse("pick", args=[made.pk]), {"picked": "1"})
    assert picked.headers["Location"] == reverse("gallery", args=[slug])
    answer = marketer.post(reverse("submit", args=[slug]), follow=True)  # none named: all that are picked
    made.refresh_from_db()
    assert made.status == "in_review" and "1 picture is in review now." in answer.content.decode()
    assert _undo(answer) == reverse("withdraw", args=[made.pk])
    answer = reviewer.post(reverse("request-changes", args=[made.pk]), {"comment": "Warmer."}, follow=True)
    assert answer.status_code == 200 and "sent back with your comment" in answer.content.decode()
    assert _undo(answer) == reverse("reopen", args=[made.pk])
    assert reviewer.post(_undo(answer), follow=True).status_code == 200
    answer = reviewer.post(reverse("approve", args=[made.pk]))
    assert answer.headers["Location"] == reverse("review", args=[world.in_review.pk])  # on to the next
    answer = reviewer.post(reverse("approve", args=[world.in_review.pk]))
    assert answer.headers["Location"] == reverse("review-queue")
    made.refresh_from_db()
    assert made.status == "approved"


def test_a_decision_that_came_too_late_says_so(world: World, sign_in: SignIn) -> None:
    first, second = (sign_in(world.cast.person(who), Accept_Language="en") for who in ("reviewer", "admin"))
    path = reverse("approve", args=[world.in_review.pk])
    assert first.post(path).status_code == 302
    late = second.post(path)
    assert late.status_code == 409 and "not waiting for review any more" in late.content.decode()
    late = sign_in(world.cast.person("admin"), HX_Request="true").post(path)
    assert late.status_code == 409 and late.headers["HX-Reswap"] == "none" and "toast" in late.headers["HX-Trigger"]


def test_htmx_gets_fragments(world: World, sign_in: SignIn) -> None:
    slug = world.cast.campaign.slug
    client = sign_in(world.cast.person("marketer"), HX_Request="true")
    rendered = client.post(reverse("create-render", args=[slug]), composer(seed="5", seed_locked="on"))
    assert rendered.status_code == 202
    assert str(RenderBatch.objects.latest("pk").jobs.get().pk) in rendered.content.decode()
    pages = [
        rendered, client.get("/"),
        client.get(reverse("gallery", args=[slug])), client.get(reverse("gallery", args=[slug]) + "?before=99"),
        client.get(reverse("batch", args=[slug, world.batch.number])),
        client.get(reverse("batch-by-id", args=[slug, world.batch.pk])),
        client.get(reverse("review", args=[world.in_review.pk])),
        client.get(reverse("frames", args=[slug]), {"job": str(world.queued.pk)})]
    for answer in pages:
        assert answer.status_code in (200, 202) and "<html" not in answer.content.decode()
    assert client.post(reverse("pick", args=[world.draft.pk]), {"picked": "1"}).status_code == 204
    assert client.post(reverse("cancel-job", args=[world.queued.pk])).status_code == 204
    assert client.post(reverse("retry-job", args=[world.failed.pk])).status_code == 204
    submitted = client.post(reverse("submit", args=[slug]), {"asset": [world.draft.pk]})
    assert submitted.status_code == 204 and submitted.headers["HX-Redirect"] == reverse("gallery", args=[slug])


def test_going_back_in_the_browser_gets_the_whole_page(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.cast.viewer, HX_Request="true", HX_History_Restore_Request="true")
    assert "<html" in client.get(reverse("gallery", args=[world.cast.campaign.slug])).content.decode()


def test_each_press_of_render_has_a_key_of_its_own(world: World, sign_in: SignIn) -> None:
    path = reverse("studio", args=[world.cast.campaign.slug])
    client = sign_in(world.cast.person("marketer"))
    keys = {re.search(r'name="request_key"[^>]*value="([0-9a-f-]{36})"|value="([0-9a-f-]{36})"[^>]*name="request_key"',
                      client.get(path).content.decode()) is not None for _ in range(2)}
    assert keys == {True}


def test_a_picture_can_be_the_start_of_the_next(world: World, sign_in: SignIn) -> None:
    path = reverse("studio", args=[world.cast.campaign.slug])
    Asset.objects.filter(pk=world.draft.pk).update(ad_format="taobao-main")
    RenderJob.objects.filter(pk=world.draft.job_id).update(seed=424242)
    RenderBatch.objects.filter(pk=world.draft.job.batch_id).update(steps=21, sampler="dpmpp_2m")
    client = sign_in(world.cast.person("marketer"), Accept_Language="en")
    body = client.get(f"{path}?reuse={world.draft.pk}").content.decode()
    assert 'value="424242"' in body and "DPM++ 2M · 21 steps" in body
    assert re.search(r'id="steps"[^>]* value="21"', body) and '<option value="dpmpp_2m" selected>' in body
    other = sign_in(world.cast.stranger)
    theirs = reverse("studio", args=[world.cast.other_campaign.slug])
    assert "424242" not in other.get(f"{theirs}?reuse={world.draft.pk}").content.decode()


@pytest.mark.parametrize(("sent", "steps", "sampler", "said"), [
    ({}, 8, "euler", "Euler · 8 steps"), ({"steps": "", "sampler": ""}, 8, "euler", "Euler · 8 steps"),
    ({"steps": "1", "sampler": "unipc"}, 1, "unipc", "UniPC · 1 step<"),
    ({"steps": " 50 ", "sampler": "dpmpp_2m"}, 50, "dpmpp_2m", "DPM++ 2M · 50 steps"),
])
def test_sampler_and_steps_are_taken_shown_and_kept(
    cast: Cast, sign_in: SignIn, sent: dict[str, str], steps: int, sampler: str, said: str,
) -> None:
    client = sign_in(cast.marketer, Accept_Language="en")
    answer = client.post(reverse("create-render", args=[cast.campaign.slug]), composer(**sent), follow=True)
    batch = RenderBatch.objects.get()
    assert (batch.steps, batch.sampler) == (steps, sampler)
    body = answer.content.decode()
    assert body.count(said.rstrip("<")) == 2  # the composer's drawer, ready for the next one, and the batch
    assert said in body and f'aria-valuemax="{steps}"' in body and f"--n:0;--of:{steps}" in body


def test_another_teams_renders_are_in_the_queue_without_their_names(world: World, sign_in: SignIn) -> None:
    prompt = "a secret perfume"
    secret = BatchFactory.create(campaign=world.cast.other_campaign, prompt=prompt, prompt_en=prompt)
    Worker.objects.update(state="busy", job=job(world.cast.other_campaign, batch=secret, status=JobStatus.RUNNING))
    job(world.cast.other_campaign, batch=secret)
    client = sign_in(world.cast.person("marketer"))
    for path in (reverse("studio", args=[world.cast.campaign.slug]), "/"):
        body = client.get(path).content.decode()
        for hidden in (prompt, world.cast.other_campaign.name_en, world.cast.stranger.name):
            assert hidden not in body, path


def test_a_long_gallery_comes_in_pages(cast: Cast, sign_in: SignIn) -> None:
    made = [asset(cast.campaign) for _ in range(62)]
    path, client = reverse("gallery", args=[cast.campaign.slug]), sign_in(cast.viewer)
    first = client.get(path).content.decode()
    assert f"/assets/{made[-1].pk}/" in first and f"/assets/{made[1].pk}/" not in first
    assert f"before={made[2].pk}" in first
    second = client.get(f"{path}?before={made[2].pk}").content.decode()
    assert f"/assets/{made[1].pk}/" in second and f"/assets/{made[0].pk}/" in second


def test_campaigns_worked_on_last_open_first(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.cast.person("marketer"))
    slug = world.cast.campaign.slug
    assert client.get(reverse("create")).headers["Location"] == reverse("studio", args=[slug])
    assert client.get(reverse("gallery-home")).headers["Location"] == reverse("gallery", args=[slug])


def test_a_person_without_a_team_sees_a_page(db: None, sign_in: SignIn) -> None:
    from tests.factories import UserFactory

    client = sign_in(UserFactory.create())
    assert client.get("/").status_code == 200 and client.get("/create/").headers["Location"] == "/"
    assert client.get("/review/").status_code == 200 and client.get("/admin-panel/").status_code == 403


def test_every_kind_of_activity_is_a_sentence(world: World, sign_in: SignIn) -> None:
    from studio.services import activity
    from studio.web.texts import ACTIVITY

    data: dict[str, Any] = {
        "pictures": 3, "frame": "1-01", "before": 1, "after": 2, "member": "Ann", "role": "viewer", "batch": 1,
        "model": "z-image-turbo", "worker": "gpu-0", "pool": "Fast", "priority": 0,
        "template": "Flowers", "number": 2, "sheet": "tea.csv", "rows": 5, "word": "best", "brand": "Rose",
        "format": "x-card", "product": "Tea", "added": 1, "changed": 2}
    for verb in (*ACTIVITY, "something.new"):
        activity.record(verb=verb, campaign=world.cast.campaign, actor=world.cast.admin, **data)
        activity.record(verb=verb, team=world.cast.team, **data)
    for language in ("en", "zh-hans"):
        page = sign_in(world.cast.person("admin"), Accept_Language=language).get(reverse("admin-audit"))
        body = page.content.decode()
        assert "%(" not in body and "something.new" in body


def test_the_activity_list_can_be_narrowed_and_paged(world: World, sign_in: SignIn) -> None:
    from studio.services import activity

    for n in range(55):
        activity.record(verb="something.new", team=world.cast.team, actor=world.cast.admin if n % 2 else None)
    client = sign_in(world.cast.person("admin"))
    path = f"{reverse('admin-audit')}?team={world.cast.team.slug}"
    assert client.get(path).content.decode().count("something.new") == 50
    assert client.get(f"{path}&who={world.cast.admin.pk}").content.decode().count("something.new") == 27
    assert client.get(f"{path}&who={world.cast.stranger.pk}").status_code == 200


def test_old_use_is_counted_by_day(world: World, sign_in: SignIn) -> None:
    RenderJob.objects.filter(status="done").update(finished_at=timezone.now() - timedelta(days=40))
    assert sign_in(world.cast.person("admin")).get(reverse("admin-usage")).status_code == 200


def test_signing_out_and_in(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.cast.viewer)
    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/").headers["Location"] == "/login/?next=/"
    wrong = client.post("/login/", {"login": world.cast.viewer.email, "password": "wrong"})
    assert wrong.status_code == 200 and client.get("/").status_code == 302
    assert client.get("/signup/").status_code == 200 and client.post("/signup/", {
        "email": "new@example.com", "password1": "correct horse battery"}).status_code == 200
    assert not _said(client.get("/login/"))
    right = client.post("/login/", {"login": world.cast.viewer.email.upper(), "password": "correct horse battery"})
    assert right.status_code == 302 and client.get("/").status_code == 200


@pytest.mark.parametrize(("said", "shown"), [({"precision": "fp32"}, "fp32"), ({"dtype": "float32"}, "float32")])
def test_a_recipe_says_its_precision_whichever_engine_wrote_it(
    world: World, sign_in: SignIn, said: dict[str, str], shown: str
) -> None:
    recipe = {key: value for key, value in world.draft.recipe.items() if key != "precision"} | said
    Asset.objects.filter(pk=world.draft.pk).update(recipe=recipe)
    page = sign_in(world.cast.marketer).get(
        reverse("gallery", args=[world.cast.campaign.slug]), {"frame": world.draft.pk})
    assert shown in page.content.decode()
