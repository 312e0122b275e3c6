"""Who gets how much of the workers: pools of workers, fair shares, and chores that are done once."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from studio.domain.priority import Priority


class Pool(models.Model):
    """Workers set apart: for the teams bound to it (`Team.pool`), or for the class of renders in `priority`.

    What is bound to a pool is rendered there and nowhere else, and its workers render nothing else.
    """

    name = models.CharField(max_length=40, unique=True)
    priority = models.PositiveSmallIntegerField(
        null=True, blank=True, unique=True, choices=[(p.value, p.name.title()) for p in Priority])

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=~models.Q(name=""), name="pool_has_a_name"),
            models.CheckConstraint(
                condition=models.Q(priority__isnull=True) | models.Q(priority__in=[p.value for p in Priority]),
                name="pool_priority_is_known"),
        ]

    def __str__(self) -> str:
        return self.name


class Share(models.Model):
    """A person's share of their team's renders. `virtual_time` grows with the work taken for them."""

    team = models.ForeignKey("studio.Team", models.CASCADE, related_name="shares")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="shares")
    virtual_time = models.FloatField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="share_one_per_person_and_team")]

    def __str__(self) -> str:
        return f"{self.team_id}/{self.user_id}"


class Chore(models.Model):
    """Regular work of the house, by name, and when it was last begun: it is done once, however many clocks tick."""

    name = models.CharField(max_length=40, primary_key=True)
    begun_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
