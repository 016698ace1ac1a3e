"""A build backend that needs nothing from anywhere: it packs the one package beside a pyproject.toml into a wheel (PEP 517)."""

from __future__ import annotations

import configparser
import zipfile
from pathlib import Path


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    return []


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None) -> str:
    # The two files here hold headings and `key = "text"` only: of TOML, what is an INI file too. Python 3.10 has no tomllib.
    read = configparser.ConfigParser(delimiters="=")
    read.read("pyproject.toml", encoding="utf-8")
    project = {key: value.strip('"') for key, value in read["project"].items()}
    name, version = project["name"].replace("-", "_"), project["version"]
    info, wheel = f"{name}-{version}.dist-info", f"{name}-{version}-py3-none-any.whl"
    groups = {heading: heading.split('"')[1] for heading in read.sections() if heading.startswith("project.entry-points.")}
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value.strip(chr(34))}\n" for key, value in read[heading].items())
        for heading, group in groups.items()
    )
    files = {str(path): path.read_text(encoding="utf-8") for path in sorted(Path(name).rglob("*.*")) if path.suffix != ".pyc"}
    files |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: wheel.py\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(Path(wheel_directory, wheel), "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel
