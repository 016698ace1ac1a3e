"""Images of real servers, of Debian's packages: the program, the libraries it is linked to, and busybox.

    host.run(servers.importing("nginx", "redis-server"))

The image is called like the program; it runs as root of an empty /etc, and its configuration comes by the command.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from tests.lab import packages

PROGRAMS = {
    "nginx": ("usr/sbin/nginx",),
    "haproxy": ("usr/sbin/haproxy",),
    "mosquitto": ("usr/sbin/mosquitto",),
    "dnsmasq": ("usr/sbin/dnsmasq",),
    "redis-server": ("usr/bin/redis-check-rdb",),  # one program for all names of Redis
    "postgres": ("usr/lib/postgresql/15/bin/initdb", "usr/lib/postgresql/15/bin/postgres"),
}


def importing(*names: str) -> str:
    """A script for a host that makes these images."""
    return "".join(f"docker import -c 'ENV PATH=/bin' {shlex.quote(str(archive(name)))} {name} >/dev/null\n" for name in names)


def archive(name: str) -> Path:
    """The layer of a server's image, made once."""
    recipe = hashlib.sha256(Path(__file__).read_bytes() + repr(packages.TREES["servers"]).encode()).hexdigest()[:8]
    target = packages.cache_dir() / f"{name}-{recipe}.tar"
    if not target.exists():
        tree = packages.unpacked("servers")
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            subprocess.run(["sh", "-ec", _LAYER, "sh", name, *PROGRAMS[name]], cwd=scratch, env=_environment(tree), check=True)
            Path(scratch, "layer.tar").rename(target)
    return target


def _environment(tree: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "TREE": str(tree), "BUSYBOX": str(packages.busybox())}


_LAYER = """
name=$1; shift
mkdir -p root/bin root/etc root/tmp root/run root/var/log/nginx root/var/lib/nginx root/var/lib/haproxy root/data
cp "$BUSYBOX" root/bin/busybox
for applet in $("$BUSYBOX" --list); do [ "$applet" = busybox ] || ln -s busybox root/bin/$applet; done
printf 'root:x:0:0:root:/:/bin/sh\\npostgres:x:70:70::/data:/bin/sh\\nnobody:x:99:99::/:/bin/sh\\n' > root/etc/passwd
printf 'root:x:0:\\npostgres:x:70:\\nnogroup:x:99:\\nadm:x:4:\\n' > root/etc/group
printf 'hosts: files dns\\n' > root/etc/nsswitch.conf
chmod 1777 root/tmp root/data root/run
for program; do
  for file in /$program $(chroot "$TREE" /lib64/ld-linux-x86-64.so.2 --list /$program | grep -o '/[^ )]*'); do
    mkdir -p "root/$(dirname "$file")"
    cp -L "$TREE$file" "root$file"
  done
  ln -sf "/$program" "root/bin/$(basename "$program")"
done
ln -sf "/$program" "root/bin/$name"
mkdir -p root/lib/x86_64-linux-gnu
cp -L "$TREE"/lib/x86_64-linux-gnu/libnss_*.so.2 "$TREE"/lib/x86_64-linux-gnu/libresolv.so.2 root/lib/x86_64-linux-gnu/
if [ $name = postgres ]; then
  mkdir -p root/usr/share root/usr/lib/postgresql/15/lib
  cp -r "$TREE"/usr/share/postgresql root/usr/share/
  rm -rf root/usr/share/postgresql/15/man
  libraries=usr/lib/postgresql/15/lib
  cp "$TREE/$libraries/dict_snowball.so" "$TREE/$libraries/plpgsql.so" root/$libraries/
fi
tar -C root -cf layer.tar .
"""
