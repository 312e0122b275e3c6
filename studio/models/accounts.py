"""People, teams, and who plays which role where."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils.functional import cached_property

from studio.domain.roles import Role
from studio.models.base import BilingualName, choices, named, one_of


class UserManager(BaseUserManager["User"]):
    """Creates people by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a person; the address is kept in lower case."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a person who sees every team."""
        return self.create_user(email, password, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        """Find a person by e-mail address, whatever its case."""
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an e-mail address."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=60)
    language = models.CharField(max_length=10, blank=True, choices=[("zh-hans", "中文"), ("en", "English")])
    theme = models.CharField(
        max_length=5, default="auto", choices=[("auto", "Auto"), ("light", "Light"), ("dark", "Dark")])
    hotkeys = models.BooleanField(default=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_is_lower_case"),
            models.CheckConstraint(
                condition=models.Q(theme__in=["auto", "light", "dark"]), name="user_theme_is_known"),
            models.CheckConstraint(
                condition=models.Q(language__in=["", "zh-hans", "en"]), name="user_language_is_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def roles(self) -> dict[int, Role]:
        """Team id -> role, read once per user object (one per request)."""
        return {team: Role(role) for team, role in self.memberships.values_list("team_id", "role")}


class Team(BilingualName):
    """A group that shares campaigns and a monthly number of pictures."""

    slug = models.SlugField(unique=True)
    monthly_pictures = models.PositiveIntegerField()
    #: Grows with the work taken for the team: of those that wait, the least goes next (domain/fairness.py).
    virtual_time = models.FloatField(default=0)
    #: The only workers that render for this team; None for those that belong to no pool.
    pool = models.ForeignKey("studio.Pool", models.SET_NULL, null=True, blank=True, related_name="teams")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [named("team")]


class Membership(models.Model):
    """One person's role in one team."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=choices(Role))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="membership_one_per_person_and_team"),
            one_of("role", Role, "membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.team} · {self.role}"
