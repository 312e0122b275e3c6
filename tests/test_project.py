"""The project's own files agree with each other."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
READERS = {
    "text", "short", "flag", "number", "choice", "names", "origins", "path", "time_zone", "url", "database", "secret",
    "sizes", "some_of", "token"}


def _variables() -> set[str]:
    """Environment variables that the settings read."""
    tree = ast.parse((ROOT / "zimage_web" / "settings.py").read_text(encoding="utf-8"))
    return {
        call.args[0].value for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in READERS
        and isinstance(call.func.value, ast.Name) and call.func.value.id == "env"
        and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)}


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins)
    return {_name(name): version for name, version in pins}


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    missing = {_name(requirement) for group in groups for requirement in group} - _pins().keys()
    assert not missing


def test_torch_is_the_version_that_the_renders_were_measured_with() -> None:
    assert _pins()["torch"] == "2.13.0"


def test_the_environment_variables_are_found() -> None:
    assert {"DATABASE_URL", "REDIS_URL", "BROKER_URL", "VAR_DIR", "MODEL_DIR", "SECRET_KEY"} <= _variables()


def test_the_example_environment_lists_every_variable() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)) == _variables()


def test_the_readme_lists_every_variable() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("\n## Settings", 1)[1].split("\n## ", 1)[0]
    first_cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    assert {name for cell in first_cells for name in re.findall(r"`([A-Z][A-Z0-9_]*)`", cell)} == _variables()


def test_pages_load_nothing_from_elsewhere() -> None:
    loads = re.compile(r"""(?:<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=|@import\s|url\(|from\s+|import\()
                           \s*["']?(?:https?:)?//""", re.VERBOSE)
    files = [file for folder in ("templates", "static") for file in (ROOT / folder).rglob("*")
             if file.suffix in {".html", ".css", ".js"} and "vendor" not in file.parts]
    assert files
    assert [str(file.relative_to(ROOT)) for file in files if loads.search(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("target", ["run", "test", "lint", "bench", "clean"])
def test_the_makefile_has_the_promised_targets(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
