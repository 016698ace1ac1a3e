"""The Debian package around the single file: with man page, completions and licences, and without dependencies."""

from __future__ import annotations

import gzip
import os
import subprocess
import tempfile
from pathlib import Path

from dockernet_doctor import __version__
from dockernet_doctor.commands.completion import SHELLS, script
from dockernet_doctor.packaging import man

_COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/dockernet-doctor",
    "zsh": "usr/share/zsh/vendor-completions/_dockernet-doctor",
    "fish": "usr/share/fish/vendor_completions.d/dockernet-doctor.fish",
}
_CONTROL = f"""Package: dockernet-doctor
Version: {__version__}
Architecture: amd64
Maintainer: the authors of dockernet-doctor <dockernet-doctor@localhost>
Section: net
Priority: optional
Installed-Size: %d
Recommends: iptables, nftables
Suggests: nmap
Description: why can't I reach this container?
 Reads the Docker daemon and the host's kernel, sends a few bounded probes, and
 names the likeliest cause, the evidence and the commands that fix it.
 .
 One file that holds all it needs; no Python has to be installed.
"""


def build(file: Path, licence: Path, target: Path) -> Path:
    """Writes dockernet-doctor_VERSION_amd64.deb into `target`: the same bytes for the same file and SOURCE_DATE_EPOCH."""
    made = target / f"dockernet-doctor_{__version__}_amd64.deb"
    texts = {path: script(shell).encode() for shell, path in _COMPLETIONS.items()}
    assert set(_COMPLETIONS) == set(SHELLS)
    texts["usr/share/man/man1/dockernet-doctor.1.gz"] = gzip.compress(man.page().encode(), 9, mtime=0)
    texts["usr/share/doc/dockernet-doctor/copyright"] = (
        licence.read_bytes() + b"\nThe licences of the parts that it holds: dockernet-doctor licences\n"
    )
    with tempfile.TemporaryDirectory() as own:
        root = Path(own) / "root"
        program = root / "usr/bin/dockernet-doctor"
        for path, content in texts.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        program.parent.mkdir(parents=True)
        program.write_bytes(file.read_bytes())
        program.chmod(0o755)
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text(_CONTROL % (size // 1024), encoding="utf-8")
        root.chmod(0o755)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(made)], check=True, env=os.environ)
    return made
