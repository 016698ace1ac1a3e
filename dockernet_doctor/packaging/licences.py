"""The licences of what the single file holds: modules by their own metadata, libraries by Debian's records."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path

_BUILT_IN = {  # what is in the file and is no module: their licences let it be part of any program
    "pyinstaller": "its bootloader: GPL-2.0-or-later with the exception for what it starts",
    "staticx": "its bootloader: GPL-2.0-or-later with the exception for what it starts",
}
# Debian's packages of libraries whose licence was read; a build with another one fails. libreadline (GPL-3) must not get in.
_LIBRARIES = {
    "libbz2-1.0": "bzip2-1.0.6",
    "libc6": "LGPL-2.1-or-later",
    "libexpat1": "MIT",
    "libffi8": "MIT",
    "liblzma5": "public domain",
    "libpython3.11": "PSF-2.0",
    "libpython3.11-minimal": "PSF-2.0",
    "libpython3.11-stdlib": "PSF-2.0",
    "libssl3": "Apache-2.0",
    "libuuid1": "BSD-3-Clause",
    "musl-dev": "MIT",
    "zlib1g": "Zlib",
}


def collected(program: Path, forbidden: tuple[str, ...]) -> str:
    """JSON list of records (name, version, licence, text). ValueError where something forbidden is in the program."""
    from PyInstaller.archive.readers import CArchiveReader

    archive = CArchiveReader(str(program))
    modules = {name.partition(".")[0] for name in archive.open_embedded_archive("PYZ.pyz").toc}
    if found := modules & set(forbidden):
        raise ValueError(f"{', '.join(found)} must not be in the file")
    files = {name.rpartition("/")[2] for name, entry in archive.toc.items() if entry[-1] == "b"}
    of_module = metadata.packages_distributions()
    extensions = {name.partition("/")[0] for name in archive.toc}
    names = {name for module in modules | extensions for name in of_module.get(module, ())}
    records = [_of_distribution(name) for name in sorted(names | set(_BUILT_IN), key=str.lower)]
    return json.dumps([*records, *_of_debian(files | {"libc.so.6"})], ensure_ascii=False, indent=1)


def _of_distribution(name: str) -> dict[str, str]:
    found = metadata.distribution(name)
    texts = [
        Path(str(file.locate())).read_text("utf-8", "replace")
        for file in found.files or ()
        if ".dist-info" in str(file) and any(word in file.name.upper() for word in ("LICEN", "COPYING", "NOTICE"))
    ]
    stated = next((said for key in ("License-Expression", "License") if (said := found.metadata[key])), _classified(found))
    return {
        "name": name,
        "version": found.version,
        "licence": _BUILT_IN.get(name) or stated.strip().split("\n")[0],
        "text": "\n\n".join(texts),
    }


def _classified(found: metadata.Distribution) -> str:
    said = found.metadata.get_all("Classifier") or []
    return ", ".join(line.rpartition(" :: ")[2] for line in said if line.startswith("License ::"))


def _of_debian(files: set[str]) -> list[dict[str, str]]:
    """The packages that the libraries come from, with Debian's copyright file as text."""
    packages = {"musl-dev", *(package for file in files if (package := _owner(file)))}  # start.c is linked to musl
    if unread := packages - set(_LIBRARIES):
        raise ValueError(f"nobody has read the licence of {', '.join(sorted(unread))}")
    records = []
    for package in sorted(packages):
        version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=True)
        text = Path(f"/usr/share/doc/{package}/copyright").read_text("utf-8", "replace")
        records.append({"name": package, "version": version.stdout, "licence": _LIBRARIES[package], "text": text})
    return records


def _owner(file: str) -> str:
    """The Debian package of a library, which lies in a directory of libraries of its own release."""
    for path in (f"/lib/x86_64-linux-gnu/{file}", f"/usr/lib/x86_64-linux-gnu/{file}"):
        done = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.partition(":")[0]
    return ""
