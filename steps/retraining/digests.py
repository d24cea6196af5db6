"""Short names for contents."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def digest(text: str, length: int = 16) -> str:
    """Return the first hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def digest_of_files(root: Path, but: str = "") -> str:
    """Digest of the name and content of a file, or of all files in a folder but one."""
    lines = []
    for path in sorted([root] if root.is_file() else root.rglob("*")):
        if path.is_file() and path.name != but:
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            lines.append(f"{path.relative_to(root.parent if path == root else root)} {content}")
    return digest("\n".join(lines), 32)
