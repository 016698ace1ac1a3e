"""Makes dist/dockernet-doctor, one executable file, the Debian package, and their checksums.

    python -m dockernet_doctor.packaging.build DIRECTORY

Run by `make dist` in an environment that holds requirements/dist.txt and this project, by Debian's own /usr/bin/python3.
PyInstaller packs Python, modules and libraries into a program; staticx packs that together with glibc and its loader; start.c
stands before both and finds them a directory to unpack in.
Two builds of a commit on one release of Debian are equal: paths, times, owners and the order of sets are fixed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from unittest.mock import patch

from dockernet_doctor.packaging import debian, licences

NAME = "dockernet-doctor"
_HERE = Path(__file__).resolve().parent
_FORBIDDEN = ("scapy", "nmap")
_LEFT_OUT = (*_FORBIDDEN, "pip", "setuptools", "pkg_resources", "PyInstaller", "staticx", "elftools", "unittest", "pydoc_data")


def main(target: Path) -> None:
    epoch = os.environ["SOURCE_DATE_EPOCH"]
    os.environ |= {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"}
    os.umask(0o022)
    work = Path("/tmp/dockernet-doctor-build")  # noqa: S108 - the same at every build, or paths would differ
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    target.mkdir(parents=True, exist_ok=True)
    program = _packed(work)
    file = target / NAME
    _with_loader(program, file, int(epoch))
    file.chmod(0o755)
    for made in (file, debian.build(file, _HERE.parents[1] / "LICENSE", target)):
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        made.with_name(f"{made.name}.sha256").write_text(f"{digest}  {made.name}\n", encoding="ascii")
    shutil.rmtree(work)


def _packed(work: Path) -> Path:
    """The program as PyInstaller makes it. The first of two runs tells which libraries there are, for the list of licences."""
    notices = work / "licences.json"
    notices.write_text("[]", encoding="utf-8")
    program = _pyinstaller(work, notices)
    notices.write_text(licences.collected(program, _FORBIDDEN), encoding="utf-8")
    return _pyinstaller(work, notices)


def _pyinstaller(work: Path, notices: Path) -> Path:
    command = [sys.executable, "-m", "PyInstaller", "--onefile", "--noconfirm", "--clean", "--noupx", "--log-level", "ERROR"]
    command += ["--name", NAME, "--distpath", str(work / "out"), "--workpath", str(work / "work"), "--specpath", str(work)]
    for module in ("dockernet_doctor", "dockernet_doctor_checks"):
        command += ["--collect-submodules", module, "--collect-data", module]
    command += ["--hidden-import", "dockernet_doctor.probe.packets_dpkt", "--add-data", f"{notices}:dockernet_doctor"]
    for module in _LEFT_OUT:
        command += ["--exclude-module", module]
    shutil.copy(_HERE / "entry.py", work / "entry.py")
    # Not here, where the checkout would hide the project that is installed.
    subprocess.run([*command, str(work / "entry.py")], check=True, cwd=work)
    return work / "out" / NAME


def _with_loader(program: Path, file: Path, epoch: int) -> None:
    from staticx.api import generate

    plain = tarfile.TarFile.gettarinfo

    def the_same_each_time(self: tarfile.TarFile, *args: object, **kwargs: object) -> tarfile.TarInfo:
        info = plain(self, *args, **kwargs)  # type: ignore[arg-type]
        info.mtime, info.uid, info.gid, info.uname, info.gname = epoch, 0, 0, "root", "root"
        return info

    # Not compressed by xz: unpacking would take twice the time of a start, and what PyInstaller packed hardly shrinks.
    with patch.object(tarfile.TarFile, "gettarinfo", the_same_each_time), tempfile.TemporaryDirectory() as own:
        made = Path(own) / NAME
        generate(str(program), str(made), compress=False)
        start = Path(own) / "start"
        compiler = ["musl-gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none"]
        subprocess.run([*compiler, "-o", str(start), str(_HERE / "start.c")], check=True)
        file.write_bytes(start.read_bytes() + made.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
