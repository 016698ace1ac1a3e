"""Python scripts in processes of their own, which have one thread as the command line has; warnings are errors."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def started(script: str) -> subprocess.Popen[str]:
    """The script at work."""
    return subprocess.Popen(_command(script), stdout=subprocess.PIPE, text=True)


def printed(script: str) -> str:
    """What the script prints. Raises CalledProcessError where it fails, TimeoutExpired after two minutes."""
    return subprocess.run(_command(script), stdout=subprocess.PIPE, text=True, check=True, timeout=120).stdout


def _command(script: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
