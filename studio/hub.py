"""The hubs that models come from, through their own client libraries, with progress and resume."""

from __future__ import annotations

import hashlib
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from studio.domain.errors import StudioError
from studio.domain.i18n import gettext_noop as _

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

HUBS = {"huggingface": "Hugging Face", "modelscope": "ModelScope"}
OFFICIAL = "Tongyi-MAI/Z-Image-Turbo"
#: Nothing else is downloaded: no pickles, no code, no pictures.
_ENDINGS = ("safetensors", "json", "txt", "jinja")


class HubError(StudioError):
    """The hub could not be reached, or refused."""

    status = 502
    code = "hub_failed"


def download(*, hub: str, repo: str, folder: Path, only: str = "") -> Path:
    """Bring the model into `folder`, or with `only` one part of it, such as its tokenizer; return the folder.

    What is there already is not downloaded again, and half a file is gone on with. Raises HubError.
    """
    patterns = [f"{only}/*.{ending}" if only else f"*.{ending}" for ending in _ENDINGS]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (_from_modelscope if hub == "modelscope" else _from_huggingface)(repo, folder, patterns)
    except ImportError as error:
        raise HubError(
            _("The client library of %(hub)s is not installed here."), hub=HUBS[hub],
            hint=_("Install the packages of the group “hub” in pyproject.toml.")) from error
    return folder


def _from_huggingface(repo: str, folder: Path, patterns: list[str]) -> None:
    from httpx2 import HTTPError  # what huggingface_hub talks with
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    # Read again: the library reads it once, when it is first imported.
    endpoint = os.environ.get("HF_ENDPOINT") or None
    api = HfApi(endpoint=endpoint)
    try:
        revision = api.repo_info(repo).sha or "main"
        for found in list(api.list_repo_tree(repo, recursive=True, revision=revision)):
            if isinstance(found, RepoFile) and any(fnmatchcase(found.path, pattern) for pattern in patterns):
                _bring(repo, revision, found, folder, endpoint)
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise _failed("huggingface", repo, error) from error


def _bring(repo: str, revision: str, found: RepoFile, folder: Path, endpoint: str | None) -> None:
    """One file, with progress. `snapshot_download` would begin a file anew in each process; this goes on with it."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # it is listed as public

    target = (folder / found.path).resolve()
    if folder.resolve() not in target.parents:
        raise ValueError(f"{found.path!r} leads out of the folder")
    if target.is_file() and _same(target, found):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # Named after its content: half of another version is not gone on with.
    part = target.with_name(f".{target.name}.{found.blob_id[:12]}.part")
    with part.open("ab") as file:
        at = file.tell()
        if at > found.size:
            at = file.truncate(0)
        http_get(hf_hub_url(repo, found.path, revision=revision, endpoint=endpoint), file, resume_size=at,
                 headers=build_hf_headers(), expected_size=found.size, displayed_filename=found.path)
    if not _same(part, found):
        part.unlink()
        raise OSError(f"{found.path} arrived damaged")
    part.replace(target)


def _same(path: Path, found: RepoFile) -> bool:
    """Whether the file holds what the hub lists: by SHA-256, or for small files by git's own sum."""
    if path.stat().st_size != found.size:
        return False
    with path.open("rb") as file:
        if found.lfs:
            return hashlib.file_digest(file, "sha256").hexdigest() == found.lfs.sha256
        head = f"blob {found.size}\0".encode()
        return hashlib.sha1(head + file.read(), usedforsecurity=False).hexdigest() == found.blob_id


def _from_modelscope(repo: str, folder: Path, patterns: list[str]) -> None:
    from modelscope.hub.snapshot_download import snapshot_download
    from modelscope_hub.errors import HubError as ModelScopeError

    try:
        snapshot_download(repo, local_dir=str(folder), allow_patterns=patterns)
    except (ModelScopeError, OSError, ValueError, RuntimeError) as error:
        raise _failed("modelscope", repo, error) from error


def _failed(hub: str, repo: str, error: Exception) -> HubError:
    reason = next((line for line in str(error).strip().splitlines() if line), type(error).__name__)
    return HubError(
        _("%(repo)s could not be downloaded from %(hub)s: %(reason)s"), repo=repo, hub=HUBS[hub],
        reason=reason[:300], hint=_(
            "What has arrived is kept: the same command goes on with it. Without a way to the internet, copy the "
            "files here and use `manage.py model add`."))
