"""Write files that contain secrets, which the machine fetches from Lockbox with its own token.

    python3 render_secrets.py TEMPLATES

TEMPLATES is a JSON list of {path, owner, mode, text}. `$name` in a text stands for a value or an
entry of a secret. Values and secrets are in the machine's metadata `settings`:
{"secrets": [id, ...], "values": {name: text}}. Only the standard library and Python 3.8, because it
also runs on the machines of Data Processing.
"""

from __future__ import annotations

import json
import os
import shutil
import string
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

METADATA = os.environ.get("METADATA_URL", "http://169.254.169.254")
LOCKBOX = os.environ.get("LOCKBOX_URL", "https://payload.lockbox.api.cloud.yandex.net")
SETTINGS = Path(os.environ.get("SETTINGS_FILE", "/etc/retraining/settings.json"))
PATIENCE = 300  # seconds: new roles take a while to take effect


def get(url: str, headers: dict[str, str]) -> str:
    """The body of a response; errors are retried until `PATIENCE` is over."""
    deadline = time.monotonic() + PATIENCE
    request = urllib.request.Request(url, headers=headers)
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"render_secrets: {url}: {error}")
            time.sleep(5)


def metadata(path: str) -> str:
    """A value of this machine from the metadata service."""
    return get(f"{METADATA}/computeMetadata/v1/instance/{path}", {"Metadata-Flavor": "Google"})


def values() -> dict[str, str]:
    """All values and entries of secrets by name."""
    text = SETTINGS.read_text() if SETTINGS.exists() else metadata("attributes/settings")
    settings = json.loads(text)
    token = json.loads(metadata("service-accounts/default/token"))["access_token"]
    known = dict(settings["values"])
    login = {"Authorization": f"Bearer {token}"}
    for secret in settings["secrets"]:
        payload = json.loads(get(f"{LOCKBOX}/lockbox/v1/secrets/{secret}/payload", login))
        known.update({entry["key"]: entry["textValue"].strip() for entry in payload["entries"]})
    return known


def write(template: dict[str, str], known: dict[str, str]) -> None:
    """Write one file, which nobody can read before its owner and mode are set."""
    path = Path(template["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    if fresh.exists():
        fresh.unlink()
    fresh.touch(mode=0o600)
    fresh.write_text(string.Template(template["text"]).substitute(known))
    shutil.chown(fresh, template["owner"], template["owner"])
    fresh.chmod(int(template["mode"], 8))
    fresh.replace(path)


def main() -> None:
    """Write all files."""
    known = values()
    for template in json.loads(Path(sys.argv[1]).read_text()):
        write(template, known)


if __name__ == "__main__":
    main()
