"""What the studio page shows of the queue, and how its buttons answer with and without scripts."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.urls import reverse
from django.utils import timezone

from studio.domain.priority import Priority
from studio.domain.states import JobStatus
from studio.models import Campaign, RenderBatch, RenderJob, Worker
from studio.services import steering
from tests.conftest import Cast, SignIn
from tests.factories import CampaignFactory, job, worker
from tests.web.world import World, composer


def studio(campaign: Campaign) -> str:
    return reverse("studio", args=[campaign.slug])


def text(answer: Any) -> str:
    return unescape(answer.content.decode())


def turn(body: str, pk: UUID) -> str:
    """What the tile of a waiting job says."""
    found = re.search(rf'<span class="turn" id="turn-{pk}".*?(?=</div>|<form|$)', body, re.MULTILINE)
    assert found
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", found[0]).split())


def due(campaign: Campaign, days: int | None) -> None:
    deadline = None if days is None else timezone.localdate() + timedelta(days=days)
    Campaign.objects.filter(pk=campaign.pk).update(deadline=deadline)


# --- the choice of a class --------------------------------------------------------------------
@pytest.mark.parametrize(("days", "said"), [
    (None, "Normal"), (2, "Normal"), (1, "Urgent: the deadline is tomorrow"), (0, "Urgent: the deadline is today"),
    (-1, "Urgent: the deadline has passed")])
def test_automatic_says_what_it_means_now(cast: Cast, sign_in: SignIn, days: int | None, said: str) -> None:
    due(cast.campaign, days)
    body = text(sign_in(cast.marketer, Accept_Language="en").get(studio(cast.campaign)))
    assert f'<span class="mut by-auto">{said}</span>' in body
    near = said.startswith("Urgent")
    assert ("jump the queue" not in body) is near
    assert ('value="urgent" disabled' in body) is not near


def test_reviewers_are_offered_urgency_and_marketers_are_told_why_not(cast: Cast, sign_in: SignIn) -> None:
    body = text(sign_in(cast.reviewer, Accept_Language="en").get(studio(cast.campaign)))
    assert 'value="urgent">' in body and "jump the queue" not in body
    marketer, path = sign_in(cast.marketer, Accept_Language="en"), reverse("create-render", args=[cast.campaign.slug])
    refused = marketer.post(path, composer(when="urgent"))
    assert refused.status_code == 422 and 'id="err-when"' in text(refused) and not RenderBatch.objects.exists()
    for wrong in ("normal", "0", "now"):
        refused = marketer.post(path, composer(when=wrong))
        assert refused.status_code == 422 and "automatic, urgent or in the background" in text(refused)


@pytest.mark.parametrize(("who", "when", "days", "found"), [
    ("marketer", "", None, Priority.NORMAL), ("marketer", "batch", 0, Priority.BATCH),
    ("marketer", "urgent", 1, Priority.URGENT), ("reviewer", "urgent", None, Priority.URGENT),
    ("marketer", "", 0, Priority.URGENT)])
def test_what_is_chosen_is_queued(
    cast: Cast, sign_in: SignIn, who: str, when: str, days: int | None, found: Priority,
) -> None:
    due(cast.campaign, days)
    client = sign_in(cast.person(who), HX_Request="true")
    answer = client.post(reverse("create-render", args=[cast.campaign.slug]), composer(when=when))
    assert answer.status_code == 202 and RenderJob.objects.get().priority == found
    assert f'name="when" value="{when}" checked' in text(answer)  # ready for the next one
    later = text(sign_in(cast.person(who)).get(studio(cast.campaign)))
    kept = "batch" if when == "batch" else ""  # urgency is asked for each time
    assert f'name="when" value="{kept}" checked' in later


# --- places and waits -------------------------------------------------------------------------
def test_places_and_waits_of_every_class(cast: Cast, sign_in: SignIn) -> None:
    worker(step_ms=100.0, rest_ms=200.0)
    later, mine, soon = (job(cast.campaign, priority=kind) for kind in reversed(Priority))
    client, frames = sign_in(cast.marketer, Accept_Language="en"), reverse("frames", args=[cast.campaign.slug])
    body = text(client.get(studio(cast.campaign)))
    assert turn(body, soon.pk) == "1 Next up · about 2.0 s Urgent"
    assert turn(body, mine.pk) == "2 about 3.0 s"
    assert turn(body, later.pk) == "3 about 4.0 s Background"
    assert 'data-ahead-ms="1000,2000,3000"' in body
    lane = body[body.index('id="lane"'):body.index('id="campaign-paused"')]
    assert lane.index(f"wait-{soon.pk}") < lane.index(f"wait-{mine.pk}") < lane.index(f"wait-{later.pk}")
    assert lane.count("Urgent") == lane.count("Background") == 1
    Worker.objects.update(draining=True)
    answer = text(client.get(frames, {"wait": [str(mine.pk)]}))
    assert turn(answer, mine.pk) == "2" and "about" not in answer


def test_a_paused_campaign_says_who_and_its_tiles_have_no_place(cast: Cast, sign_in: SignIn) -> None:
    worker(step_ms=100.0, rest_ms=200.0)
    mine, other = job(cast.campaign), job(CampaignFactory.create(team=cast.team, created_by=cast.marketer))
    running = job(cast.campaign, status=JobStatus.RUNNING)
    steering.pause(user=cast.admin, campaign=cast.campaign)
    client = sign_in(cast.marketer, Accept_Language="en")
    page = text(client.get(studio(cast.campaign)))
    frames = reverse("frames", args=[cast.campaign.slug])
    live = text(client.get(frames, {"wait": str(mine.pk), "job": str(running.pk)}))
    for body in (page, live):
        assert turn(body, mine.pk) == "Paused"
        assert "The renders of this campaign are paused." in body and f"{cast.admin.name} paused them" in body
        assert "1 picture waits." in body and "1 paused" in body
        assert re.search(r'id="quota"[^>]* data-paused', body)
        assert f"wait-{other.pk}" in body and f"wait-{mine.pk}" not in body
        assert f'hx-post="{reverse("resume", args=[cast.campaign.slug])}"' in body
        assert f'hx-post="{reverse("pause", args=[cast.campaign.slug])}"' not in body
    assert "Paused" in text(client.get("/"))
    batch = text(client.get(reverse("batch", args=[cast.campaign.slug, mine.batch.number])))
    assert "The renders of this campaign are paused." in batch and turn(batch, mine.pk) == "Paused"
    viewer = text(sign_in(cast.viewer, Accept_Language="en").get(studio(cast.campaign)))
    assert "are paused" in viewer and "/resume/" not in viewer


# --- whose buttons are there ------------------------------------------------------------------
@pytest.mark.parametrize(("who", "moves", "cancels"), [
    ("marketer", True, True), ("reviewer", False, False), ("admin", False, False), ("viewer", False, False)])
def test_buttons_are_for_those_who_may(cast: Cast, sign_in: SignIn, who: str, moves: bool, cancels: bool) -> None:
    worker()
    mine, _other = job(cast.campaign), job(cast.campaign)
    body = text(sign_in(cast.person(who), Accept_Language="en").get(studio(cast.campaign)))
    assert (body.count(reverse("move-job", args=[mine.pk])) == 4) is moves  # tile and lane, each with and without htmx
    assert (reverse("move-batch", args=[cast.campaign.slug, mine.batch.number]) in body) is moves
    assert ("Cancel your 2 renders?" in body) is cancels
    assert ("Pause renders" in body) is (who != "viewer")


def test_a_batch_with_nothing_beside_it_is_not_put_in_order(cast: Cast, sign_in: SignIn) -> None:
    only = job(cast.campaign)
    body = text(sign_in(cast.marketer).get(studio(cast.campaign)))
    assert reverse("move-batch", args=[cast.campaign.slug, only.batch.number]) not in body


# --- how they answer --------------------------------------------------------------------------
def test_without_scripts_every_button_goes_back_and_says_what_happened(world: World, sign_in: SignIn) -> None:
    campaign, job_path = world.cast.campaign, {"pk": world.queued.pk}
    client = sign_in(world.cast.person("marketer"), Accept_Language="en")
    slug = {"slug": campaign.slug}
    number = slug | {"number": world.batch.number}
    steps: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
        ("pause", slug, {}, "Renders are paused."), ("resume", slug, {}, "Renders go on."),
        ("move-job", job_path, {"to": "first"}, "First of your normal renders now."),
        ("move-batch", number, {"to": "last"}, "Last of your normal renders now."),
        ("retry-job", {"pk": world.failed.pk}, {"seed": "new"}, "Asked for again, as batch "),
        ("cancel-mine", {}, {"next": studio(campaign)}, "3 renders cancelled. They cost nothing.")]
    for name, arguments, data, said in steps:
        answer = client.post(reverse(name, kwargs=arguments), data, follow=True)
        assert answer.redirect_chain == [(studio(campaign), 302)], name
        assert said in text(answer), name
    away = client.post(reverse("cancel-mine"), {"next": "https://elsewhere.example/"})
    assert away.headers["Location"] == "/"


def test_htmx_is_told_to_look_again_and_what_to_say(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.cast.person("marketer"), HX_Request="true", Accept_Language="en")
    slug = world.cast.campaign.slug
    for path, data in ((reverse("pause", args=[slug]), {}), (reverse("pause", args=[slug]), {}),
                       (reverse("resume", args=[slug]), {}),
                       (reverse("move-job", args=[world.queued.pk]), {"to": "last"}),
                       (reverse("retry-job", args=[world.failed.pk]), {}), (reverse("cancel-mine"), {})):
        answer = client.post(path, data)
        said = json.loads(answer.headers["HX-Trigger"])
        assert answer.status_code == 204 and said["frames:refresh"] == {} and said["toast"]["message"], path


@pytest.mark.parametrize("to", [None, "", "middle", "first\x00"])
def test_there_is_no_other_place_to_move_to(world: World, sign_in: SignIn, to: str | None) -> None:
    client, data = sign_in(world.cast.person("marketer")), {} if to is None else {"to": to}
    for path in (reverse("move-job", args=[world.queued.pk]),
                 reverse("move-batch", args=[world.cast.campaign.slug, world.batch.number])):
        assert client.post(path, data).status_code == 422
    assert not RenderJob.objects.exclude(rank=0).exists()


def test_what_does_not_wait_any_more_can_not_be_moved(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.cast.person("marketer"))
    RenderJob.objects.filter(pk=world.queued.pk).update(status="cancelled", finished_at=timezone.now())
    for path in (reverse("move-job", args=[world.failed.pk]),
                 reverse("move-batch", args=[world.cast.campaign.slug, world.batch.number])):
        answer = client.post(path, {"to": "first"})
        assert answer.status_code == 409


def test_a_failed_tile_says_why_and_what_to_do(cast: Cast, sign_in: SignIn) -> None:
    error: dict[str, Any] = {"code": "render_failed", "params": {"width": 64}, "hint": "Nothing was charged.",
                             "message": "There is not enough memory for %(width)d px."}
    failed = job(cast.campaign, status=JobStatus.FAILED, error=error)
    ended = job(cast.campaign, status=JobStatus.CANCELLED, batch=failed.batch)
    body = text(sign_in(cast.marketer, Accept_Language="en").get(studio(cast.campaign)))
    tiles = {pk: body[body.index(f'id="frame-{pk}"'):].split("</figure>")[0] for pk in (failed.pk, ended.pk)}
    assert "There is not enough memory for 64 px." in tiles[failed.pk]
    assert '<span class="hint">Nothing was charged.</span>' in tiles[failed.pk]
    assert "Another seed" in tiles[failed.pk] and "Retry" in tiles[failed.pk]
    assert "Another seed" not in tiles[ended.pk] and "Retry" in tiles[ended.pk]
    seen = text(sign_in(cast.viewer, Accept_Language="en").get(studio(cast.campaign)))
    assert "Another seed" not in seen
