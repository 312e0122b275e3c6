"""The hubs that models come from, through their own client libraries: they show progress and resume."""

from __future__ import annotations

import os
from pathlib import Path

from studio.domain.errors import StudioError
from studio.domain.i18n import gettext_noop as _

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
    from huggingface_hub import HfApi, snapshot_download

    # Read again: the library reads it once, when it is first imported.
    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        # Asked by itself: where the hub is away, a folder that is half downloaded would pass for the whole.
        revision = HfApi(endpoint=endpoint).repo_info(repo).sha
        snapshot_download(repo, revision=revision, local_dir=folder, allow_patterns=patterns, endpoint=endpoint)
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise _failed("huggingface", repo, error) from error


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
