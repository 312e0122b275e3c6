"""A sheet of 10,000 rows in three formats: from the upload to "it is queued", the memory it takes, and its page.

Beside it, as the baseline, the same rows asked for one by one. In SQLite and, where it is there, PostgreSQL, each in
a process of its own.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks._own import servers
from tests.chaos.servers import postgresql_folder
from tests.stack import ROOT

if TYPE_CHECKING:
    from studio.models import Campaign, TemplateVersion

ROWS, BASELINE = 10_000, 100
FORMATS = ("taobao-main", "xiaohongshu-3x4", "wechat-second")
#: Seconds, and milliseconds.
ACCEPTED, PAGE = 10.0, 300.0


def sheet(rows: int) -> bytes:
    """A table of `rows` products."""
    lines = "".join(f"T-{n},红玫瑰{n},粉色,{n % 9 + 1}\n" for n in range(rows))
    return ("sku,product,tone,pieces\n" + lines).encode()


def one_by_one() -> float:
    """Seconds a row: one request of three pictures after the other."""
    from uuid import uuid4

    from django.utils import timezone

    from studio.domain.spec import Target
    from studio.models import AdFormat
    from studio.services import models, renders
    from tests.factories import render_request

    campaign, card = made()[0], models.current().card
    targets = tuple(Target(one.pk, one.width, one.height) for one in AdFormat.objects.filter(pk__in=FORMATS))
    began = time.perf_counter()
    for _ in range(BASELINE):
        renders.request_render(
            user=campaign.created_by, campaign=campaign, request=render_request(targets=targets, count=1),
            request_key=uuid4(), card=card, today=timezone.localdate())
    return (time.perf_counter() - began) / BASELINE


def made() -> tuple[Campaign, TemplateVersion]:
    """A campaign with a template, of a team with a large limit."""
    from studio.domain.roles import Role
    from studio.models import Membership
    from tests.factories import CampaignFactory, TeamFactory, UserFactory
    from tests.kits import template, version

    user = UserFactory.create()
    team = TeamFactory.create(monthly_pictures=1_000_000)
    Membership.objects.create(team=team, user=user, role=Role.MARKETER)
    campaign = CampaignFactory.create(team=team, created_by=user)
    return campaign, version(template(team, user))


def measure(database: str) -> int:
    """Print a row of the table; exit code 1 when a target is missed."""
    with servers(postgresql=database == "postgresql"):
        from django.test import Client

        from studio.models import AdFormat, BulkRun
        from studio.services import bulk, feeding

        baseline = one_by_one()
        campaign, version = made()
        client = Client(HTTP_HOST="localhost")
        client.force_login(campaign.created_by)
        formats = list(AdFormat.objects.filter(pk__in=FORMATS))
        data = sheet(ROWS)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        run = bulk.start(user=campaign.created_by, campaign=campaign, version=version, name="tea.csv", data=data)
        checked = time.perf_counter() - began
        bulk.queue(user=campaign.created_by, run=run, formats=formats, count=1)
        accepted = time.perf_counter() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        times = []
        feeding.feed(run)  # the page of a running sheet
        for _ in range(12):
            began = time.perf_counter()
            assert client.get(f"/bulk/{run.pk}/").status_code == 200
            times.append((time.perf_counter() - began) * 1000)
        shown = statistics.median(times)
        assert BulkRun.objects.get().rows.filter(usable=True).count() == ROWS
        print(f"| {database} | {checked:.1f} | {accepted:.1f} | {grown:.0f} | {shown:.0f} | {baseline * 1000:.0f} | "
              f"{accepted / (baseline * ROWS):.3f} |", flush=True)
        return int(accepted > ACCEPTED or shown > PAGE)


def main() -> int:
    """Each database in its own process."""
    if len(sys.argv) > 1:
        return measure(sys.argv[1])
    print("| database | checked s | accepted s | memory grew MB | page ms | one by one, ms a row | "
          "accepted / one by one |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    names = ["sqlite"] + (["postgresql"] if postgresql_folder() else [])
    codes = [subprocess.run([sys.executable, "-m", "benchmarks.bulk", name], cwd=ROOT, check=False).returncode
             for name in names]
    print(f"Targets of {ACCEPTED:.0f} s and {PAGE:.0f} ms {'missed' if any(codes) else 'met'}.")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
