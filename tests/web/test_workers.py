"""The workers page: what it shows to whom, and what its forms do."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from studio.domain.priority import Priority
from studio.domain.roles import Role
from studio.domain.states import JobStatus
from studio.models import Membership, Pool, RenderJob, Team, Worker
from tests.conftest import Cast, SignIn
from tests.factories import job, pool, worker

PAGE = "/admin-panel/workers/"


def shown(client: Any, path: str = PAGE) -> str:
    """The page, without its tags."""
    response = client.get(path)
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def renders(cast: Cast, name: str = "gpu-0", **fields: Any) -> RenderJob:
    """A render of the cast's campaign that the worker is at."""
    mine = job(cast.campaign, status=JobStatus.RUNNING, step=3, worker=name, **fields)
    worker(name, state="busy", job=mine)
    return mine


def test_an_empty_list_says_what_to_do(cast: Cast, sign_in: SignIn) -> None:
    text = shown(sign_in(cast.superuser))
    assert "No worker has ever reported" in text and "No shared worker takes renders" in text


def test_everything_about_a_worker_is_there(cast: Cast, sign_in: SignIn) -> None:
    worker("gpu-0", host="node-7", device="NVIDIA H200", gpu_memory_used=20 * 2**30,
           gpu_memory_total=140 * 2**30, model_name="Z-Image-Turbo", busy_ms=600_000.0,
           provenance={"precision": "bf16"}, pictures=1200, mean_ms=500.0, pool=pool("launch"))
    text = shown(sign_in(cast.superuser))
    for word in ("gpu-0", "node-7", "NVIDIA H200", "20.0 GB / 140.0 GB", "Z-Image-Turbo", "bf16", "Ready", "launch",
                 "1,200", "10 min", "0.50 s", "Last heartbeat 0 s ago"):
        assert word in text, word


@pytest.mark.parametrize(("fields", "word", "button"), [
    ({}, "Ready", "Drain"), ({"state": "starting"}, "Starting", "Drain"),
    ({"draining": True}, "Drained", "Resume"), ({"state": "stopped"}, "Stopped", "Forget"),
    ({"seen_at": timezone.now() - timedelta(hours=1), "state": "busy"}, "Gone", "Forget")])
def test_each_state_has_its_word_and_its_button(
    cast: Cast, sign_in: SignIn, fields: dict[str, Any], word: str, button: str,
) -> None:
    worker("gpu-0", **fields)
    text = shown(sign_in(cast.superuser))
    assert word in text and {b for b in ("Drain", "Resume", "Forget") if re.search(rf"\b{b}\b", text)} == {button}


def test_a_render_is_shown_with_its_steps_and_finished_while_draining(cast: Cast, sign_in: SignIn) -> None:
    renders(cast)
    client = sign_in(cast.superuser)
    text = client.get(PAGE).content.decode()
    assert cast.campaign.name_en in text and 'aria-valuenow="3"' in text and "Rendering" in text
    Worker.objects.update(draining=True)
    assert "Finishing" in shown(client)
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert cast.campaign.name_en not in shown(client)  # what a dead one was at has been taken back


def test_an_admin_of_another_team_sees_that_it_renders_but_not_what(cast: Cast, sign_in: SignIn) -> None:
    mine = renders(cast)
    fast = pool()
    Team.objects.filter(pk=cast.team.pk).update(pool=fast)
    for role, sees in (("admin", True), ("superuser", True), ("stranger", False)):
        body = sign_in(cast.person(role)).get(PAGE).content.decode()
        assert 'aria-valuenow="3"' in body
        for secret in (cast.campaign.name_en, cast.campaign.slug, cast.team.name_en, cast.marketer.name):
            assert (secret in body) is sees, (role, secret)
        assert str(mine.pk) not in body
        assert ("Another team" in body) is not sees
    assert body.count("1 team that is not yours") == 1


def test_who_may_not_sees_the_reason_and_no_form(cast: Cast, sign_in: SignIn) -> None:
    worker("gpu-0")
    body = sign_in(cast.person("admin")).get(PAGE).content.decode()
    assert "only an admin of every team" in body and 'aria-describedby="why-not"' in body
    assert reverse("drain-worker", args=["gpu-0"]) not in body and reverse("add-pool") not in body
    Membership.objects.create(team=cast.other_team, user=cast.admin, role=Role.ADMIN)
    body = sign_in(cast.person("admin")).get(PAGE).content.decode()
    assert reverse("drain-worker", args=["gpu-0"]) in body and reverse("add-pool") in body


def test_what_waits_is_counted_where_it_waits(cast: Cast, sign_in: SignIn) -> None:
    fast, urgent = pool("fast"), pool("urgent", priority=Priority.URGENT)
    Team.objects.filter(pk=cast.other_team.pk).update(pool=fast)
    for campaign, priority in ((cast.other_campaign, Priority.URGENT), (cast.other_campaign, Priority.NORMAL),
                               (cast.campaign, Priority.URGENT), (cast.campaign, Priority.BATCH)):
        made = job(campaign, priority=priority)
        RenderJob.objects.filter(pk=made.pk).update(created_at=timezone.now() - timedelta(minutes=7))
    response = sign_in(cast.superuser).get(PAGE)
    rows = {row.pool and row.pool.name: row for row in response.context["pools"]}
    assert {name: row.waiting for name, row in rows.items()} == {None: 1, "fast": 2, "urgent": 1}
    for name, row in rows.items():  # as a worker of that pool would find it
        assert row.waiting == RenderJob.objects.waiting().for_pool(row.pool and row.pool.pk).count(), name
    assert urgent == rows["urgent"].pool and "2 wait · for up to 7 min" in shown(sign_in(cast.superuser))


def test_what_nobody_renders_is_warned_of(cast: Cast, sign_in: SignIn) -> None:
    fast = pool("fast")
    worker("gpu-0")
    client = sign_in(cast.superuser)
    assert "takes renders" not in shown(client)
    Team.objects.filter(pk=cast.team.pk).update(pool=fast)
    assert "No worker of the pool “fast” takes renders" in shown(client)
    worker("gpu-1", pool=fast, state="starting")
    assert "takes renders" not in shown(client)  # it will
    Worker.objects.update(draining=True)
    text = shown(client)
    assert "No worker of the pool “fast” takes renders" in text and "No shared worker takes renders" in text
    Team.objects.update(pool=fast)
    assert "No shared worker" not in shown(client)  # nothing is left for one


def test_a_script_gets_the_part_that_changes(cast: Cast, sign_in: SignIn) -> None:
    worker("gpu-0")
    body = sign_in(cast.superuser, HX_Request="true").get(PAGE).content.decode()
    assert "gpu-0" in body and "<html" not in body and "csrfmiddlewaretoken" in body


@pytest.mark.django_db(transaction=True)
def test_the_forms_work_without_scripts(cast: Cast, sign_in: SignIn) -> None:
    worker("rack/1 gpu")  # a name may have a slash
    client = sign_in(cast.superuser)

    def send(address: str, *args: object, **data: Any) -> str:
        response = client.post(reverse(address, args=args), data, follow=True)
        assert response.status_code == 200 and response.request["PATH_INFO"] == PAGE
        return str(response.content.decode())

    text = send("drain-worker", "rack/1 gpu")
    assert "gets no new renders" in text and "Drained" in text and reverse("resume-worker", args=["rack/1 gpu"]) in text
    assert "takes renders again" in send("resume-worker", "rack/1 gpu")
    text = send("add-pool", name="Launch", priority="0", team=[cast.team.pk])
    launch = Pool.objects.get()
    assert "is set up" in text and (launch.priority, list(launch.teams.all())) == (0, [cast.team])
    assert "for the pool “Launch” alone" in send("move-worker", "rack/1 gpu", pool=launch.pk)
    send("change-pool", launch.pk, name="Quick", priority="", team=[cast.other_team.pk], was=[cast.team.pk])
    launch.refresh_from_db()
    assert (launch.name, launch.priority, list(launch.teams.all())) == ("Quick", None, [cast.other_team])
    refused = client.post(reverse("remove-pool", args=[launch.pk]))
    assert refused.status_code == 409 and "Remove it anyway" in refused.content.decode()
    assert "is removed" in send("remove-pool", launch.pk, confirm="on") and not Pool.objects.exists()
    assert "renders for everybody" in send("move-worker", "rack/1 gpu", pool="")
    Worker.objects.update(state="stopped")
    assert "off the list" in send("forget-worker", "rack/1 gpu") and not Worker.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_refusal_stands_on_the_page_with_what_was_typed(cast: Cast, sign_in: SignIn) -> None:
    fast, gpu = pool("fast", priority=Priority.URGENT), worker("gpu-0")
    client = sign_in(cast.superuser)
    refused = client.post(reverse("add-pool"), {"name": "<Fast>", "priority": "0", "team": [cast.team.pk]})
    body = refused.content.decode()
    assert refused.status_code == 409 and "is bound to the pool “fast” already" in body
    assert 'value="&lt;Fast&gt;"' in body and 'id="edit-new" open data-own' in body
    for data, status in (({"name": "FAST"}, 422), ({"name": "x", "priority": "9"}, 422), ({}, 422),
                         ({"name": "x", "priority": "urgent"}, 422), ({"name": "x", "priority": "9" * 30}, 422)):
        assert client.post(reverse("add-pool"), data).status_code == status
    assert client.post(reverse("change-pool", args=[fast.pk]), {"name": "\x00"}).status_code == 422
    assert client.post(reverse("forget-worker", args=[gpu.name])).status_code == 409
    assert Pool.objects.get() == fast and Worker.objects.get() == gpu


def test_what_is_not_there_is_not_found(cast: Cast, sign_in: SignIn) -> None:
    worker("gpu-0")
    client = sign_in(cast.superuser)
    for verb in ("drain", "resume", "pool", "forget"):
        for name in ("none", "a%00b"):
            assert client.post(f"{PAGE}{name}/{verb}/").status_code == 404
    for wanted in ("99", "x", "9" * 30, "-1"):
        assert client.post(reverse("move-worker", args=["gpu-0"]), {"pool": wanted}).status_code == 404
    for name in ("change-pool", "remove-pool"):
        assert client.post(reverse(name, args=[99])).status_code == 404
