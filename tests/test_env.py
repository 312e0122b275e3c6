"""Environment variables: what is taken, and what is refused with the variable's name."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from zimage_web import env

READERS: dict[str, Any] = {
    "flag": lambda: env.flag("X", False), "number": lambda: env.number("X", 1, low=0, high=9),
    "choice": lambda: env.choice("X", "a", ("a", "b")), "url": lambda: env.url("X", "", ("redis", "unix")),
    "origins": lambda: env.origins("X"), "time_zone": lambda: env.time_zone("X", "Asia/Shanghai"),
    "short": lambda: env.short("X", "worker", longest=8), "sizes": lambda: env.sizes("X"),
    "token": lambda: env.token("X"), "some_of": lambda: env.some_of("X", ("compile", "graphs")),
    "database": lambda: env.database("X", Path("studio.sqlite3")), "secret": lambda: env.secret("X", Path("key")),
}


@pytest.mark.parametrize(("reader", "value"), [
    ("flag", "yes please"), ("number", "ten"), ("number", "10"), ("number", "1e3"), ("choice", "c"),
    ("url", "127.0.0.1:6379"), ("url", "http://host"), ("url", "redis://host:port"), ("url", "redis://["),
    ("origins", "studio.example.com"), ("origins", "https://a.example, ftp://b.example"),
    ("origins", "https://a.example/path"), ("time_zone", "Mars/Phobos"), ("time_zone", "../../etc/passwd"),
    ("time_zone", "Asia"), ("short", "x" * 9), ("secret", "short"),
    ("token", "x" * 15), ("token", "with a blank in it"), ("token", "令牌" * 16),
    ("sizes", "1024"), ("sizes", "1024x1024,axb"), ("sizes", "99999x16"), ("some_of", "speed"),
    ("database", "mysql://host/name"), ("database", "postgres://host"), ("database", "postgres://host:x/name"),
])
def test_nonsense_is_refused_with_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, reader: str, value: str,
) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(ImproperlyConfigured, match=r"^X"):
        READERS[reader]()


def test_a_refused_address_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("mysql://me:tell-nobody@host/name", "postgres://me:tell-nobody@host:x/name", "redis://me:tell-nobody@["):
        monkeypatch.setenv("X", value)
        with pytest.raises(ImproperlyConfigured) as caught:
            env.url("X", "", ("postgres", "redis"))
        assert "tell-nobody" not in str(caught.value)


def test_what_makes_sense_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "https://a.example, http://b.example:8000")
    assert env.origins("X") == ["https://a.example", "http://b.example:8000"]
    monkeypatch.setenv("X", "Europe/Berlin")
    assert env.time_zone("X", "UTC") == "Europe/Berlin"
    monkeypatch.setenv("X", "1024x768, 512x512")
    assert env.sizes("X") == ((1024, 768), (512, 512))
    monkeypatch.setenv("X", "a-token-of-16-or-more")
    assert env.token("X") == "a-token-of-16-or-more"
    monkeypatch.setenv("X", "graphs,compile")
    assert env.some_of("X", ("compile", "graphs")) == {"compile", "graphs"}
    monkeypatch.setenv("X", "unix:///var/run/redis.sock")
    assert env.url("X", "", ("unix",)) == "unix:///var/run/redis.sock"


def test_a_postgresql_address_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "postgres://me:p%40ss@db.example:5433/studio?sslmode=verify-full&sslrootcert=/ca.pem")
    found = env.database("X", Path("unused"))
    assert [found[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")] == [
        "studio", "me", "p@ss", "db.example", 5433]
    options: Any = found["OPTIONS"]
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "/ca.pem")
    assert found["CONN_HEALTH_CHECKS"] is True  # or a restart of the server fails one request per connection


def test_the_key_and_its_folder_are_for_one_user_only(tmp_path: Path) -> None:
    file = tmp_path / "var" / "secret-key"
    key = env.secret("UNSET_FOR_THIS_TEST", file)
    assert len(key) >= 32 and env.secret("UNSET_FOR_THIS_TEST", file) == key
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]
    assert list(file.parent.iterdir()) == [file]
