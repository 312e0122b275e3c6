"""What a team sells, for variables of the kind "product": added, changed, removed, and read from a table."""

from __future__ import annotations

from dataclasses import asdict

from django.db import IntegrityError, transaction

from studio import permissions
from studio.domain.errors import Conflict, Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.productfiles import Row, read
from studio.models import Product, Team, User
from studio.services import activity

VERB = "product.edit"
_TAKEN = _("There is a product with the SKU “%(sku)s” already.")


def add(*, user: User, team: Team, row: Row) -> Product:
    """Add one. Raises Forbidden, or Invalid when the SKU is taken."""
    permissions.require(user, VERB, team)
    try:
        with transaction.atomic(durable=True):
            made = Product.objects.create(team=team, **asdict(row))
            activity.record(verb="product.added", actor=user, team=team, product=row.sku)
    except IntegrityError as error:
        raise Invalid(_TAKEN, field="sku", sku=row.sku) from error
    return made


def change(*, user: User, product: Product, row: Row) -> bool:
    """Give it another SKU or other names; pictures made with it keep what they were made with. False: nothing changed.

    Raises Forbidden, Invalid when the SKU is taken, or Conflict when the product was removed.
    """
    permissions.require(user, VERB, product.team)
    if row == Row(product.sku, product.name_zh, product.name_en):
        return False
    try:
        with transaction.atomic(durable=True):
            if not Product.objects.filter(pk=product.pk).update(**asdict(row)):
                raise Conflict(_("This product is not there any more."))
            activity.record(verb="product.changed", actor=user, team=product.team, product=row.sku)
    except IntegrityError as error:
        raise Invalid(_TAKEN, field="sku", sku=row.sku) from error
    return True


def remove(*, user: User, product: Product) -> None:
    """Take it off the list; pictures made with it stay. Raises Forbidden."""
    permissions.require(user, VERB, product.team)
    with transaction.atomic(durable=True):
        if Product.objects.filter(pk=product.pk).delete()[0]:
            activity.record(verb="product.removed", actor=user, team=product.team, product=product.sku)


def take_in(*, user: User, team: Team, data: bytes) -> tuple[int, int]:
    """Read a CSV: new SKUs are added, known ones get its names. All of it or nothing; (added, changed).

    Raises Forbidden or Invalid (field "file").
    """
    permissions.require(user, VERB, team)
    rows = {row.sku: row for row in read(data)}
    with transaction.atomic(durable=True):
        # Of two tables at once, the second finds what the first added. Single products need no lock of the team.
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        known = {one.sku: one for one in Product.objects.filter(team=team, sku__in=list(rows))}
        changed = [one for one in known.values() if rows[one.sku] != Row(one.sku, one.name_zh, one.name_en)]
        for one in changed:
            one.name_zh, one.name_en = rows[one.sku].name_zh, rows[one.sku].name_en
        Product.objects.bulk_update(changed, ["name_zh", "name_en"], batch_size=500)
        fresh = [Product(team=team, **asdict(row)) for row in rows.values() if row.sku not in known]
        Product.objects.bulk_create(fresh, batch_size=500, update_conflicts=True, unique_fields=["team", "sku"],
                                    update_fields=["name_zh", "name_en"])
        if fresh or changed:
            activity.record(verb="product.imported", actor=user, team=team, added=len(fresh), changed=len(changed))
    return len(fresh), len(changed)
