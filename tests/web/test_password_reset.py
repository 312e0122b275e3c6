"""A forgotten password: the mailed link works once, in the person's language."""

from __future__ import annotations

import re

import pytest
from django.core import mail
from django.test import Client

from tests.conftest import Cast

NEW = "proof-and-stamp-26"


@pytest.mark.parametrize(("language", "subject", "over"), [
    ("en", "Set a new password for 打样 Dayang", "This link no longer works"),
    ("zh-hans", "重设打样 Dayang 的密码", "链接已失效"),
])
def test_the_mailed_link_sets_a_password_once(
    cast: Cast, client: Client, language: str, subject: str, over: str,
) -> None:
    person = cast.person("marketer")
    asked = client.post("/password/reset/", {"email": person.email}, headers={"accept-language": language})
    assert asked.status_code == 302
    [letter] = mail.outbox
    assert letter.subject == subject and letter.to == [person.email]
    link = re.search(r"/password/reset/key/[^/\s]+/", str(letter.body))
    assert link
    form = client.get(link[0], follow=True)  # the key moves from the address into the session
    action = form.request["PATH_INFO"]
    refused = client.post(action, {"password1": "short", "password2": "short"})
    assert refused.status_code == 200 and "password1_error" in refused.content.decode()
    saved = client.post(action, {"password1": NEW, "password2": NEW})
    assert saved.headers["Location"] == "/password/reset/key/done/"
    person.refresh_from_db()
    assert person.check_password(NEW)
    again = Client().get(link[0], follow=True, headers={"accept-language": language})
    assert over in again.content.decode()
