"""The images of the lab, made here and loaded into each engine: no registry is asked for anything.

`net-test` is busybox with its applets, and `udp-echo PORT`; `distroless` has one static binary, /httpd, and nothing else.
Both serve /www by `httpd -f -p [ADDRESS:]PORT -h /www`; a TCP echo is `nc -ll -p PORT -e cat`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import platform
import struct
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.lab import packages

NET_TEST = "net-test"
DISTROLESS = "distroless"


def archive() -> Path:
    """A file for `docker load` that holds both images, made once."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    target = packages.cache_dir() / f"images-{recipe}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(_archive())
        Path(new).rename(target)
    return target


def _archive() -> bytes:
    images = {
        NET_TEST: (_net_test(), {"Env": ["PATH=/bin"], "Cmd": ["sleep", "infinity"]}),
        DISTROLESS: (_distroless(), {"Cmd": ["/httpd", "-f", "-p", "80", "-h", "/www"]}),
    }
    files, manifest = {}, []
    for name, (layer, config) in images.items():
        files[f"{name}/layer.tar"] = layer
        files[f"{name}/config.json"] = json.dumps(_config(layer, config)).encode()
        manifest.append({"Config": f"{name}/config.json", "RepoTags": [f"{name}:latest"], "Layers": [f"{name}/layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    return _tar(files)


def _config(layer: bytes, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of an image with one layer (OCI image specification)."""
    # as pid 1 busybox ignores SIGTERM, and each `docker stop` in a fix would take its ten seconds
    return {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {**config, "StopSignal": "SIGKILL"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }


def _net_test() -> bytes:
    busybox = packages.busybox()
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    links = {f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"}
    return _tar({"bin/busybox": busybox.read_bytes(), "bin/udp-echo": _udp_echo(), **_PAGES, "tmp/.keep": b""}, links)


def _distroless() -> bytes:
    return _tar({"httpd": packages.busybox().read_bytes(), **_PAGES})


_PAGES = {
    "www/index.html": b"page of net-test\n",
    "index.html": b"page of net-test\n",
    "etc/passwd": b"root:x:0:0:root:/:/bin/sh\n",
}


def _tar(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644 if "." in name or name.startswith("etc/") else 0o755
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(info)
    return buffer.getvalue()


def _udp_echo() -> bytes:
    """A static program for x86-64: ELF header, one segment, and the code of udp_echo.c (`gcc -Os`, position-independent)."""
    code = base64.b64decode(_UDP_ECHO)
    base, header = 0x400000, 64 + 56
    size = header + len(code)
    elf = b"\x7fELF\2\1\1".ljust(16, b"\0")
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + header, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return elf + code


_UDP_ECHO = (
    "SInnSIPk8OgAAAAAQVYxwEFVQVRVU0iB7LgHAABIi08QSMdEJKgCAAAASIlEJLAxwA++EYTSdAxrwApI/8GNRBDQ6+2G4L4CAAAAMdtFMdJFMc"
    "BFMclIifdIidpmiUQkqrgpAAAADwVJicZIjXQkqLgxAAAAuhAAAABMifcPBUiFwHQSuOcAAAC/AQAAAEiJ3kiJ2g8FSI1cJJRMjUQkmL0tAAAA"
    "QbwACAAASI10JLhBvSwAAABFMdJJidlIiehMiffHRCSUEAAAAEyJ4g8FSInCSIXAeN9Ei0wklEyJ6A8F69M="
)
