"""What several models share."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from django.db import models


def choices(enum: type[StrEnum]) -> list[tuple[str, str]]:
    """Field choices of a domain enum."""
    return [(member.value, member.name.replace("_", " ").capitalize()) for member in enum]


def one_of(field: str, values: Iterable[StrEnum], name: str) -> models.CheckConstraint:
    """The database refuses any other value, whoever writes it."""
    return models.CheckConstraint(condition=models.Q(**{f"{field}__in": [str(v) for v in values]}), name=name)


class BilingualName(models.Model):
    """A name in Chinese and English; at least one is given."""

    name_zh = models.CharField(max_length=80, blank=True)
    name_en = models.CharField(max_length=80, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name_en or self.name_zh


def named(prefix: str) -> models.CheckConstraint:
    """At least one of the two names is given."""
    return models.CheckConstraint(
        condition=~models.Q(name_zh="", name_en=""), name=f"{prefix}_has_a_name")
