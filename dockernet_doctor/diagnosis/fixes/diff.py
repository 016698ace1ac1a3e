"""Diffs of files that a fix changes."""

from __future__ import annotations

from collections.abc import Sequence


def unified(path: str, old: str, new: str | Sequence[str], context: int = 3) -> str:
    """A unified diff that `patch` applies. `new` may be lines, of which the last ends as that of `old` does."""
    from difflib import unified_diff

    before = old.splitlines(keepends=True)
    if isinstance(new, str):
        after = new.splitlines(keepends=True)
    else:
        after = "\n".join((*new, "") if old.endswith("\n") else new).splitlines(keepends=True)
    lines = unified_diff(before, after, path, path, n=context)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
