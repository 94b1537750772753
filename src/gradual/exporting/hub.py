"""Publishes a folder on the Hugging Face Hub: private unless said otherwise."""

from __future__ import annotations

import re
from pathlib import Path

from gradual.errors import ConfigError, ExportError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_hub_id(name: str) -> bool:
    """Whether a model's name is one on the Hub (owner/name) and not a folder here."""
    return bool(_HUB_ID.fullmatch(name)) and not name.startswith(".") and not Path(name).exists()


def check_push(repo: str, base_model: str, *, online: bool) -> None:
    """Finds out before any work whether a folder can be published.

    Raises:
        ConfigError: the network was not allowed, or a name is not owner/name.
    """
    if not _HUB_ID.fullmatch(repo):
        raise ConfigError(f"--push {repo}: expected owner/name, the repository on the Hub")
    if not online:
        raise ConfigError(f"--push {repo}: the network is off; add --online to publish")
    if not is_hub_id(base_model):
        raise ConfigError(
            f"--push {repo}: expected a base model on the Hub (owner/name), which others can load, found "
            f'"{base_model}"; name it with --base-model'
        )


def push(folder: Path, repo: str, *, is_public: bool) -> str:
    """Uploads a folder as a model; returns the page's address.

    A repository that is there already keeps its files of other names.

    Raises:
        ExportError: the Hub refused, or the repository is public and was not to be.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        url = api.create_repo(repo, private=not is_public, exist_ok=True, repo_type="model")
        if not is_public and not api.repo_info(repo, repo_type="model").private:
            raise ExportError(
                f"--push {repo}: expected a private repository, found a public one - add --public if it may be"
            )
        api.upload_folder(repo_id=repo, folder_path=str(folder), repo_type="model", commit_message="Upload by gradual")
    except (HfHubHTTPError, OSError, ValueError) as error:
        fault = " ".join(str(error).split())[:300]
        raise ExportError(
            f"--push {repo}: the Hub refused: {fault} - log in with `hf auth login`, or check the name"
        ) from error
    return str(url)
