"""The page of a team's products, and their tables."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from studio.domain.errors import Invalid
from studio.domain.productfiles import MAX_ROWS, Row, read
from studio.models import Activity, Product
from tests.conftest import Cast, SignIn
from tests.kits import product
from tests.web.world import upload

pytestmark = pytest.mark.django_db
LIST = "/templates/products/"


def _post(client: Any, cast: Cast, name: str, pk: int | None = None, **data: Any) -> Any:
    path = reverse(name, args=[pk] if pk else [])
    return client.post(path, {"team": cast.team.slug, **data}, follow=True)


def test_a_product_is_added_changed_and_removed(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.marketer)
    body = _post(client, cast, "add-product", sku=" TEA-1 ", name_zh="桂花乌龙", name_en="").content.decode()
    one = Product.objects.get()
    assert (one.sku, one.name_zh, one.team) == ("TEA-1", "桂花乌龙", cast.team) and "“TEA-1” is added." in body
    _post(client, cast, "change-product", one.pk, sku="TEA-9", name_zh="桂花乌龙", name_en="oolong")
    one.refresh_from_db()
    assert (one.sku, one.name_en) == ("TEA-9", "oolong")
    _post(client, cast, "change-product", one.pk, sku="TEA-9", name_zh="桂花乌龙", name_en="oolong")  # nothing new
    _post(client, cast, "change-product", one.pk, do="remove")
    assert not Product.objects.exists()
    assert list(Activity.objects.order_by("pk").values_list("verb", flat=True)) == [
        "product.added", "product.changed", "product.removed"]


@pytest.mark.parametrize(("typed", "said"), [
    ({"sku": "", "name_en": "tea"}, "Give the product its SKU."), ({"sku": "A"}, "Give the product a name"),
    ({"sku": "TEA-1", "name_en": "again"}, "There is a product with the SKU “TEA-1” already."),
    ({"sku": "x" * 61, "name_en": "tea"}, "at most 60"), ({"sku": "A", "name_zh": "茶" * 81}, "at most 80"),
    ({"sku": "A\0", "name_en": "tea"}, "one line of plain text"), ({"sku": "A", "name_en": "a\nb"}, "one line"),
])
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    cast: Cast, sign_in: SignIn, typed: dict[str, str], said: str,
) -> None:
    taken, other = product(cast.team), product(cast.team, "OTHER")
    for name, pk in (("add-product", None), ("change-product", other.pk)):
        response = _post(sign_in(cast.marketer), cast, name, pk, **typed)
        body = response.content.decode()
        assert response.status_code == 422 and said in body, name
        assert f'value="{typed["sku"]}"' in body
    assert set(Product.objects.values_list("sku", flat=True)) == {taken.sku, "OTHER"}


def test_other_teams_products_do_not_exist(cast: Cast, sign_in: SignIn) -> None:
    theirs, client = product(cast.other_team), sign_in(cast.marketer)
    assert client.get(LIST, {"team": cast.other_team.slug}).status_code == 404
    assert client.post(reverse("change-product", args=[theirs.pk]), {"do": "remove"}).status_code == 404
    assert client.post(reverse("add-product"), {"team": cast.other_team.slug, "sku": "A"}).status_code == 404
    assert b"TEA-1" not in client.get(LIST).content and Product.objects.count() == 1


def test_a_viewer_reads(cast: Cast, sign_in: SignIn) -> None:
    product(cast.team)
    body = sign_in(cast.viewer).get(LIST).content.decode()
    assert "osmanthus oolong" in body and 'name="sku"' not in body and "Viewers can look" in body


@pytest.mark.parametrize("q", ["oolong", "tea-1", "桂花", "\0oolong"])
def test_products_are_found(cast: Cast, sign_in: SignIn, q: str) -> None:
    product(cast.team)
    product(cast.team, "CUP", name_zh="杯", name_en="cup")
    body = sign_in(cast.marketer).get(LIST, {"q": q}).content.decode()
    assert "TEA-1" in body and "CUP" not in body


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_table_is_read(cast: Cast, sign_in: SignIn, encoding: str) -> None:
    product(cast.team)
    text = '货号,中文名,英文名,stock\r\nTEA-1,新名字,new name,3\r\n"A, ""B""",茶,,\r\n\r\nCUP,,cup\r\n'
    client, data = sign_in(cast.marketer), text.encode(encoding)
    body = _post(client, cast, "import-products", file=upload(data, "p.csv")).content.decode()
    assert "Products added: 2, changed: 1." in body
    assert list(Product.objects.values_list("sku", "name_zh", "name_en")) == [
        ('A, "B"', "茶", ""), ("CUP", "", "cup"), ("TEA-1", "新名字", "new name")]
    again = _post(client, cast, "import-products", file=upload(data, "p.csv")).content.decode()
    assert "Products added: 0, changed: 0." in again


@pytest.mark.parametrize(("data", "said"), [
    (b"", "no table of products"), (b"sku\nA\n", "no table of products"), (b"a,b\n1,2\n", "no table of products"),
    (b"\xff\xff\xff", "no text in UTF-8 or GB18030"), (b"sku,name_en\nA,b\0c\n", "no text in UTF-8"),
    (b"sku,name_en\nA,tea\nB,\n", "Row 2 can&#x27;t be used, so nothing was imported. Give the product a name"),
    (b"sku,name_en\nA,tea\nA,more\n", "Row 2 has the SKU “A”"), (b'sku,name_en\nA,"tea\n', "no table of products"),
    (b"sku,name_en\n" + b"x" * 200_000 + b",tea\n", "no table of products"),
    (b"sku,name_en\n" + b"A,tea\n" * 200_000, "more than 1024 KB"),
    (b"sku,name_en\n" + b"".join(b"A%d,t\n" % n for n in range(MAX_ROWS + 1)), "at most 5000 products"),
    (b"sku,name_en\nA,a\x07b\n", "Row 1 can"), (b"PK\x03\x04 a spreadsheet", "no table of products"),
])
def test_a_hostile_table_imports_nothing(cast: Cast, sign_in: SignIn, data: bytes, said: str) -> None:
    response = _post(sign_in(cast.marketer), cast, "import-products", file=upload(data, "p.csv"))
    assert response.status_code == 422 and said in response.content.decode()
    assert not Product.objects.exists() and not Activity.objects.exists()


def test_a_formula_stays_text() -> None:
    assert read(b"sku,name_en\n=cmd|'/C calc'!A0,=1+1\n") == [Row("=cmd|'/C calc'!A0", "", "=1+1")]


def test_no_file_is_no_table(cast: Cast, sign_in: SignIn) -> None:
    assert _post(sign_in(cast.marketer), cast, "import-products").status_code == 422
    with pytest.raises(Invalid):
        read(b"")


def test_many_products_need_no_more_queries(
    cast: Cast, sign_in: SignIn, django_assert_max_num_queries: Any,
) -> None:
    Product.objects.bulk_create(Product(team=cast.team, sku=f"A{n:03}", name_en="tea") for n in range(250))
    client = sign_in(cast.marketer)
    with django_assert_max_num_queries(16):
        body = client.get(LIST).content.decode()
    assert body.count('value="tea"') == 200 and "50 more products" in body
