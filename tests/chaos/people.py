"""Three teams that press Render, over HTTP, again and again until the studio has taken the request."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from random import Random
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.utils.module_loading import import_string

from studio.domain.roles import Role
from studio.models import User
from tests.chaos.renderer import POISON
from tests.factories import CampaignFactory, TeamFactory, member_of

TEAMS = 3
_CSRF = "c" * 32


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in, and their campaign."""

    campaign: str
    cookie: str


def move_in() -> list[Person]:
    """Make the teams; each has one marketer with one campaign and a session."""
    return [sign_in_to() for _ in range(TEAMS)]


def sign_in_to() -> Person:
    """A new team's campaign."""
    team = TeamFactory.create(monthly_pictures=10_000)
    marketer = member_of(team, Role.MARKETER)
    campaign = CampaignFactory.create(team=team, created_by=marketer)
    return Person(campaign.slug, f"sessionid={_session(marketer)}; csrftoken={_CSRF}")


def _session(user: User) -> str:
    session = import_string("studio.web.sessions.SessionStore")()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "allauth.account.auth_backends.AuthenticationBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


class Requests(threading.Thread):
    """Asks for `pictures` pictures, `poisoned` of them in requests that crash their worker, over `seconds`.

    A request whose answer did not come, or was an error of the server's, is sent once more with the same key,
    perhaps to the other web process.
    """

    def __init__(
        self, people: list[Person], ports: list[int], *, pictures: int, poisoned: int, seconds: float, random: Random,
    ) -> None:
        super().__init__(daemon=True)
        self.answers: Counter[str] = Counter()
        self.given_up = 0
        self._people, self._ports, self._random, self._seconds = people, ports, random, seconds
        plan = [1] * poisoned
        while sum(plan) < pictures:
            plan.append(min(random.randint(1, 6), pictures - sum(plan)))
        self._plan = [(count, index < poisoned) for index, count in enumerate(plan)]
        random.shuffle(self._plan)

    def run(self) -> None:
        """Until everything was asked for."""
        for count, poisoned in self._plan:
            self._ask(self._random.choice(self._people), count, poisoned)
            time.sleep(self._random.uniform(0.5, 1.5) * self._seconds / len(self._plan))

    def _ask(self, person: Person, count: int, poisoned: bool) -> None:
        body = self.body(seed=self._random.randrange(2**32), count=count, prompt=POISON if poisoned else "a red rose",
                         key=UUID(int=self._random.getrandbits(128), version=4))
        for _ in range(200):
            status = self.post(self._random.choice(self._ports), person, body)
            self.answers[status] += 1
            if status == "202":
                return
            time.sleep(0.3)
        self.given_up += 1

    @staticmethod
    def body(*, seed: int, count: int, prompt: str = "a red rose", key: UUID | None = None) -> str:
        """What the composer posts."""
        return urlencode({
            "prompt_en": prompt, "formats": "custom", "custom_width": 64, "custom_height": 64, "count": count,
            "seed": seed, "sampler": "euler", "request_key": str(key or uuid4())})

    @staticmethod
    def post(port: int, person: Person, body: str) -> str:
        """The status of the answer; in words when there was none."""
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as client:
            try:
                client.request("POST", f"/c/{person.campaign}/renders/", body, {
                    "Cookie": person.cookie, "X-CSRFToken": _CSRF, "HX-Request": "true",
                    "Content-Type": "application/x-www-form-urlencoded"})
                answer = client.getresponse()
                answer.read()
                return str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                return type(error).__name__
