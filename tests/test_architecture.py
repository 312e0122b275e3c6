"""The house's rules: layers, doorways, file length, and what a web process may hold. See HOUSE in the README."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 300

#: Rooms from the bottom up: a room imports from lower levels, or from its own.
LEVELS = {
    "studio.domain": 1, "studio.models": 2, "studio.permissions": 3,
    "studio.queue": 4, "studio.notify": 4, "studio.storage": 4, "studio.imaging": 4, "studio.labels": 4,
    "studio.checkpoint": 4, "studio.hub": 4, "studio.placing": 4, "studio.edges": 4, "studio.tokens": 4,
    "studio.sheetfiles": 4, "studio.delivered": 4,
    "studio.tracing": 4,
    "studio.services": 5,
    "studio.web": 6, "studio.templatetags": 6, "studio.api": 6, "studio.worker": 6, "studio.supervisor": 6,
    "studio.management": 7, "zimage_web": 7,
}
#: Rooms on one floor that must not know each other.
STRANGERS = {"studio.web", "studio.api", "studio.worker"}
#: Not rooms: Django's own, and what has no imports of the studio.
NO_ROOM = {"studio", "studio.apps", "studio.migrations", "studio.render"}
TORCH = {"torch", "diffusers", "transformers", "accelerate", "safetensors", "numpy"}


def _files(*folders: str, suffix: str = ".py") -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).rglob(f"*{suffix}"))
            if "__pycache__" not in file.parts and "vendor" not in file.parts]


def _module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "zimage_web" else ".".join(parts[:2])


def _imports(file: Path) -> Iterator[tuple[str, int]]:
    """(module, line) of every import, also of those inside functions and for type checkers only."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            # `from studio import queue` names a room that `studio` alone would hide.
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _wrong(file: Path, forbidden: set[str]) -> list[str]:
    return [f"{file.relative_to(ROOT)}:{line} imports {name}" for name, line in _imports(file)
            if any(name == bad or name.startswith(f"{bad}.") for bad in forbidden)]


def _calls(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def test_every_room_is_known() -> None:
    assert {_room(_module(file)) for file in _files("studio", "zimage_web")} <= LEVELS.keys() | NO_ROOM


@pytest.mark.parametrize("file", _files("studio", "zimage_web"), ids=_module)
def test_imports_point_down(file: Path) -> None:
    room = _room(_module(file))
    if room in NO_ROOM:
        return
    wrong = []
    for name, line in _imports(file):
        other = _room(name)
        if other in LEVELS and other != room and (
                LEVELS[other] > LEVELS[room] or (other in STRANGERS and room in STRANGERS)):
            wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


def test_the_domain_is_plain_python() -> None:
    forbidden = TORCH | {"django", "celery", "channels", "redis", "PIL.ImageFilter"}
    assert [w for file in _files("studio/domain") for w in _wrong(file, forbidden)] == []


def test_the_engine_knows_the_domain_alone() -> None:
    forbidden = {"django", "celery", "channels"} | LEVELS.keys() - {"studio.domain"}
    assert [w for file in _files("studio/render") for w in _wrong(file, forbidden)] == []


def test_nobody_imports_the_engine() -> None:
    """The worker loads it by the name in the settings."""
    files = [f for f in _files("studio", "zimage_web") if "render" not in f.relative_to(ROOT).parts[:2]]
    forbidden = TORCH | {"studio.render"}
    # Edges are found on arrays of numbers, and weights are looked through as such; the modules are loaded only then.
    numbers = {"studio/edges.py", "studio/checkpoint/finite.py"}
    assert [w for file in files for w in _wrong(
        file, forbidden - {"numpy"} if str(file.relative_to(ROOT)) in numbers else forbidden)] == []


@pytest.mark.parametrize(("doorway", "forbidden", "room"), [
    ("studio/storage.py", {"django.core.files.storage", "storages", "boto3", "botocore"},
     {"studio/storage.py", "zimage_web/settings.py"}),
    ("studio/notify.py and studio/web/hub.py", {"channels.layers", "channels_redis"},
     {"studio/notify.py", "studio/web/hub.py"}),
    # transformers lets an error class of the hub's out: the loader catches it.
    ("studio/hub.py", {"huggingface_hub", "modelscope", "modelscope_hub"},
     {"studio/hub.py", "studio/render/loader.py"}),
    ("studio/queue.py", {"celery", "kombu"},
     {"studio/queue.py", "studio/worker", "zimage_web/celery.py", "zimage_web/__init__.py"}),
    ("studio/imaging.py", {"PIL"}, {"studio/imaging.py", "studio/labels.py", "studio/render", "studio/domain/spec.py",
                            "studio/domain/guides.py", "studio/edges.py", "studio/placing.py",
                            "studio/delivered.py", "studio/services/exports.py"}),
])
def test_each_way_out_has_one_doorway(doorway: str, forbidden: set[str], room: set[str]) -> None:
    outside = [f for f in _files("studio", "zimage_web")
               if not any(str(f.relative_to(ROOT)).startswith(path) for path in room)]
    assert [w for file in outside for w in _wrong(file, forbidden)] == [], f"only {doorway} may"


def test_only_the_queue_sends_tasks_and_only_notify_sends_events() -> None:
    found: dict[str, set[str]] = {"send_task": set(), "group_send": set(), "delay": set(), "apply_async": set()}
    for file in _files("studio", "zimage_web"):
        for call, _line in _calls(file):
            name = call.rsplit(".", 1)[-1]
            if name in found:
                found[name].add(str(file.relative_to(ROOT)))
    assert found == {"send_task": {"studio/queue.py"}, "group_send": {"studio/notify.py"}, "delay": set(),
                     "apply_async": set()}


def test_no_receiver_listens_to_a_model() -> None:
    """What follows a write is done by the service that writes."""
    forbidden = {"django.db.models.signals", "django.dispatch", "django.core.signals"}
    assert [w for file in _files("studio", "zimage_web") for w in _wrong(file, forbidden)] == []


def test_only_services_write() -> None:
    """Views, sockets and templates read."""
    writes = {"save", "bulk_create", "bulk_update", "update_or_create", "get_or_create"}
    found = [f"{file.relative_to(ROOT)}:{line} {call}" for file in _files("studio/web", "studio/templatetags")
             for call, line in _calls(file) if call.rsplit(".", 1)[-1] in writes
             or (call.endswith((".objects.create", ".delete", ".update")) and ".objects" in call)]
    assert found == []


def test_exceptions_of_any_kind_are_caught_where_the_reason_is_written_down() -> None:
    """`except Exception` hides bugs: these places record them, each with its reason."""
    found = {str(file.relative_to(ROOT)) for file in _files("studio", "zimage_web")
             for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
             if isinstance(node, ast.ExceptHandler)
             and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))}
    assert found <= {"studio/services/rendering.py", "studio/web/hub.py", "studio/worker/process.py",
                     "studio/tokens.py"}


def _too_long() -> list[str]:
    files = _files("studio", "zimage_web", "tests", "benchmarks", "demo_model")
    files += _files("static/js", suffix=".js") + _files("templates", suffix=".html")
    found = []
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        if len(lines) > LONGEST and "migrations" not in file.parts:
            found.append(f"{file.relative_to(ROOT)}: {len(lines)}")
    return found


def test_no_file_is_too_long() -> None:
    assert _too_long() == []


WEB = """
import asyncio, os, resource, sys
import zimage_web.asgi as web

async def one_page():
    sent = []
    asked = []
    async def receive():
        asked.append(1)
        return {"type": "http.request"} if len(asked) == 1 else await asyncio.Event().wait()
    async def send(message): sent.append(message)
    await web.application({
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/healthz",
        "raw_path": b"/healthz", "query_string": b"", "root_path": "", "scheme": "http",
        "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)}, receive, send)
    return sent[0]["status"]

print(asyncio.run(one_page()))
from django.test import Client
from django.template.loader import get_template
get_template("studio/studio.html")
print(",".join(sorted({name.partition(".")[0] for name in sys.modules})))
with open("/proc/self/statm") as statm:
    print(int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20)
"""


def test_a_web_process_is_light() -> None:
    """No torch, and under 150 MB resident after a request."""
    done = subprocess.run(
        [sys.executable, "-c", WEB], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status, modules, megabytes = done.stdout.strip().splitlines()[-3:]
    assert status == "200"
    assert not set(modules.split(",")) & (TORCH | {"boto3", "botocore"})
    assert int(megabytes) < 150
