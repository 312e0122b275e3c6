"""Sheets of rows: checked first, then queued a few at a time, each row once."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings

from studio.domain.errors import Conflict, Forbidden, Invalid
from studio.domain.states import BulkStatus, JobStatus
from studio.domain.variables import Value
from studio.models import BulkRow, BulkRun, Campaign, QuotaAccount, RenderBatch, RenderJob, Term
from studio.services import bulk, feeding, quotas, rendering
from tests.conftest import Cast
from tests.factories import account, ad_format, balance
from tests.kits import template, version
from tests.services.fake import FlatRenderer

pytestmark = pytest.mark.django_db
HEADER = "sku,product,tone,pieces\n"


def upload(cast: Cast, text: str, **fields: Any) -> BulkRun:
    made = version(template(cast.team, cast.marketer), **fields)
    return bulk.start(user=cast.marketer, campaign=cast.campaign, version=made, name="tea.csv", data=text.encode())


def rows(count: int) -> str:
    return HEADER + "".join(f"T-{n},花{n},粉色,{n % 9 + 1}\n" for n in range(count))


def queue(cast: Cast, run: BulkRun, **fields: Any) -> BulkRun:
    order: dict[str, Any] = {"user": cast.marketer, "run": run, "formats": [ad_format()], "count": 1}
    bulk.queue(**(order | fields))
    return BulkRun.objects.select_related("campaign__team", "version__template", "requested_by").get(pk=run.pk)


def problems(run: BulkRun, number: int) -> list[str]:
    return [one["message"] % one["params"] for one in run.rows.get(number=number).problems]


def test_every_fault_is_told_by_row_and_column_and_nothing_is_queued(cast: Cast) -> None:
    for text, action in (("第一", "block"), ("首选", "warn")):
        Term.objects.update_or_create(text=text, kit=None, defaults={"action": action, "source": "广告法"})
    run = upload(cast, HEADER + "\n".join([
        "1,红玫瑰,粉色,3", "2,,粉色,", "3,一二三四五六七八九十一二三,粉色,", "4,花,绿色,", "5,花,粉色,ten",
        "6,花,粉色,12", "7,=cmd,粉色,", "8,全网第一,粉色,", "9,首选花,粉色,", "10,花,粉色,1,extra"]))
    assert run.status == BulkStatus.CHECKED and run.rows.count() == 10 and not RenderBatch.objects.exists()
    assert problems(run, 1) == []
    said = ("“product” is missing", "“product” has 13 characters", "“绿色” is not among", "“pieces” is a number; “ten”",
            "“pieces” is at most 9", "“=cmd” is a formula", "“全网第一” must not appear: 广告法",
            "“首选” needs a second look", "The row has more cells")
    for number, text in enumerate(said, 2):
        assert problems(run, number)[0].startswith(text)
    assert run.rows.get(number=4).problems[0]["column"] == "tone"
    found = bulk.progress(run)
    assert (found["all_rows"], found["can_render"], found["faulty"], found["warned"]) == (10, 2, 8, 1)


def test_a_row_is_corrected_and_columns_are_mapped_anew(cast: Cast) -> None:
    run = upload(cast, "sku,ware,farbe\n1,花,粉色\n2,,\n")
    assert run.mapping == {} and bulk.progress(run)["can_render"] == 0  # nobody knows which column is the tone
    bulk.remap(user=cast.marketer, run=run, mapping={
        "product": {"zh": "ware", "en": "nope"}, "tone": {"zh": "farbe", "value": "蓝色"}, "nope": {"zh": "ware"}})
    run.refresh_from_db()
    assert run.mapping == {"product": {"zh": "ware"}, "tone": {"zh": "farbe", "value": "蓝色"}}
    assert [row.usable for row in run.rows.all()] == [True, False]  # the default is not a column's empty cell
    bulk.correct(user=cast.marketer, run=run, number=2, cells=["2", "茶", ""])
    assert [row.usable for row in run.rows.all()] == [True, True]


def test_columns_are_found_by_the_names_people_give_them(cast: Cast) -> None:
    run = upload(cast, "Product_ZH,product_en,色调\n花,flower,pink\n", variables=[
        {"name": "product", "kind": "text"},
        {"name": "tone", "kind": "choice", "label": {"zh": "色调"}, "options": [{"zh": "粉色", "en": "pink"}]}],
        text_zh="{tone}{product}", text_en="{tone} {product}")
    assert run.mapping == {"product": {"zh": "Product_ZH", "en": "product_en"}, "tone": {"zh": "色调", "en": "色调"}}
    assert bulk.progress(run)["can_render"] == 1


def test_rows_become_batches_in_their_order_with_room_for_others(cast: Cast, settings: LazySettings) -> None:
    QuotaAccount.objects.filter(pk=account(cast.team).pk).update(limit=5000)
    run = queue(cast, upload(cast, rows(300)), count=2)
    assert feeding.feed(run) == feeding.AHEAD // 2 == RenderBatch.objects.count()
    assert feeding.feed(run) == 0  # there is no room
    one = RenderBatch.objects.order_by("number").first()
    assert one and one.bulk_row and one.bulk_row.number == 1 and one.values["product"] == {"zh": "花0", "en": "花0"}
    assert one.prompt_en == "a 花0 on a pink background  1" and one.version == run.version
    assert set(RenderJob.objects.values_list("priority", flat=True)) == {2}  # in the background
    RenderJob.objects.filter(batch__number__lte=10).update(status=JobStatus.CANCELLED, finished_at=run.queued_at)
    assert feeding.feed(run) == 10
    assert len(set(RenderBatch.objects.values_list("request_key", flat=True))) == RenderBatch.objects.count() == 110


def test_the_first_rows_are_tried_and_then_the_rest(cast: Cast) -> None:
    run = queue(cast, upload(cast, rows(8)), first=4)
    assert feeding.feed(run) == 4
    _render_all()
    assert feeding.feed(run) == 0
    run.refresh_from_db()
    assert run.status == BulkStatus.DONE and run.finished_at
    run = queue(cast, run)
    assert feeding.feed(run) == 4 and RenderBatch.objects.count() == 8


def _render_all() -> None:
    while rendering.run_next(FlatRenderer(), "worker-1"):
        pass


def test_quota_that_ends_halts_it_and_more_lets_it_go_on(cast: Cast) -> None:
    pk = account(cast.team).pk
    QuotaAccount.objects.filter(pk=pk).update(limit=3)
    run = queue(cast, upload(cast, rows(5)))
    assert feeding.feed(run) == 3
    assert feeding.feed(run) == 0
    run.refresh_from_db()
    assert (run.status, run.halted) == ("running", "quota_exceeded") and balance(cast.team) == (3, 0)
    QuotaAccount.objects.filter(pk=pk).update(limit=100)
    assert feeding.feed_all() == 2
    run.refresh_from_db()
    assert run.halted == "" and balance(cast.team) == (5, 0) and quotas.mismatches() == []


def test_a_budget_that_ends_halts_it(cast: Cast) -> None:
    Campaign.objects.filter(pk=cast.campaign.pk).update(budget=2)
    run = queue(cast, upload(cast, rows(5)))
    assert feeding.feed(run) == 2 and feeding.feed(run) == 0
    run.refresh_from_db()
    assert run.halted == "budget_exceeded"


def test_paused_resumed_cancelled(cast: Cast) -> None:
    run = queue(cast, upload(cast, rows(30)))
    assert bulk.pause(user=cast.marketer, run=run) and not bulk.pause(user=cast.marketer, run=run)
    assert feeding.feed(run) == 0 and feeding.feed_all() == 0
    assert bulk.resume(user=cast.marketer, run=run)
    assert feeding.feed(run, rows=5) == 5
    assert bulk.cancel(user=cast.marketer, run=run) == 5
    assert feeding.feed(run) == 0 and balance(cast.team) == (0, 0)
    with pytest.raises(Conflict):
        queue(cast, run)
    with pytest.raises(Conflict):
        bulk.retry(user=cast.marketer, run=run)


def test_failed_rows_are_asked_for_once_more(cast: Cast) -> None:
    run = queue(cast, upload(cast, rows(3)))
    assert feeding.feed(run) == 3
    first = RenderJob.objects.get(batch__bulk_row__number=1)
    RenderJob.objects.filter(pk=first.pk).update(
        status=JobStatus.FAILED, finished_at=run.queued_at, error={"code": "x", "message": "x", "params": {}})
    quotas.release(first.pk)
    assert bulk.retry(user=cast.marketer, run=run) == 1 and bulk.retry(user=cast.marketer, run=run) == 0
    assert feeding.feed(run) == 1
    assert RenderBatch.objects.filter(bulk_row__number=1).count() == 2
    assert bulk.retry(user=cast.marketer, run=run) == 0  # it is on its way


def test_a_row_that_fails_only_when_it_is_placed_leaves_the_others_alone(cast: Cast) -> None:
    run = queue(cast, upload(cast, rows(4)))
    BulkRow.objects.filter(run=run, number=2).update(cells=["T", "far too long for this", "粉色", ""])
    assert feeding.feed(run) == 3
    assert not run.rows.get(number=2).usable and "characters" in problems(run, 2)[0]


def test_every_combination_is_a_row(cast: Cast) -> None:
    made = version(template(cast.team, cast.marketer))
    run = bulk.start_matrix(user=cast.marketer, campaign=cast.campaign, version=made, name="Combinations", values={
        "product": [Value("花", "flower"), Value("茶", "tea")], "tone": [Value("粉色", "pink"), Value("蓝色", "blue")],
        "pieces": [Value("1", "1"), Value("2", "2"), Value("3", "3")]})
    assert run.rows.count() == 12 and bulk.progress(run)["can_render"] == 12
    with pytest.raises(Invalid, match="combinations"):
        bulk.start_matrix(user=cast.marketer, campaign=cast.campaign, version=made, name="", values={
            name: [Value(str(n), str(n)) for n in range(30)] for name in ("product", "tone", "pieces")})


def test_half_of_a_character_in_a_workbook_is_left_out(cast: Cast) -> None:
    run = upload(cast, rows(1))
    bulk.correct(user=cast.marketer, run=run, number=1, cells=["\ud800T", "花\0", "粉色", ""])
    assert run.rows.get().cells[:2] == ["T", "花"]


@pytest.mark.parametrize("data", ["", "a,a\n1,1\n", HEADER, HEADER + "x\0\n"])
def test_a_file_that_is_no_table_leaves_nothing_behind(cast: Cast, data: str) -> None:
    with pytest.raises(Invalid):
        upload(cast, data)
    assert not BulkRun.objects.exists() and not BulkRow.objects.exists()


@pytest.mark.parametrize("fields", [{"count": 0}, {"count": 9}, {"formats": []}])
def test_a_wrong_order_is_refused_and_changes_nothing(cast: Cast, fields: dict[str, Any]) -> None:
    run = upload(cast, rows(2))
    with pytest.raises(Invalid):
        queue(cast, run, **fields)
    run.refresh_from_db()
    assert run.status == BulkStatus.CHECKED


def test_a_sheet_without_a_usable_row_is_not_queued(cast: Cast) -> None:
    run = upload(cast, HEADER + "1,花,绿色,\n")
    with pytest.raises(Invalid, match="No row"):
        queue(cast, run)
    run.refresh_from_db()
    assert run.status == BulkStatus.CHECKED


def test_viewers_upload_nothing(cast: Cast) -> None:
    made = version(template(cast.team, cast.marketer))
    with pytest.raises(Forbidden):
        bulk.start(user=cast.viewer, campaign=cast.campaign, version=made, name="x", data=rows(1).encode())


def test_who_lost_the_role_halts_the_sheet(cast: Cast) -> None:
    run = queue(cast, upload(cast, rows(2)))
    cast.marketer.memberships.update(role="viewer")
    run = BulkRun.objects.select_related("campaign__team", "version__template", "requested_by").get(pk=run.pk)
    assert feeding.feed(run) == 0
    run.refresh_from_db()
    assert run.halted == "forbidden"
