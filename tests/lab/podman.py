"""Podman in place of Docker, or beside it: no daemon, its Docker-compatible socket served by `podman system service`.

host = lab.host("podman4", daemon=False)
podman.start(host)
host.run("podman run -d --name web -p 8080:80 net-test httpd -f -p 80")
"""

from __future__ import annotations

from tests.lab import images
from tests.lab.host import Host

SOCKET = "/run/podman/podman.sock"


def start(host: Host) -> None:
    """Serve the socket, which the tool then asks, and load the images."""
    host.environment["PODMAN_IGNORE_CGROUPSV1_WARNING"] = "1"
    host.run(["sh", "-ec", _STORAGE])
    host.run(["podman", "load", "-q", "-i", str(images.archive())])
    host.children.append(host.popen(f"exec podman system service -t 0 unix://{SOCKET} >/var/log/podman.log 2>&1"))
    host.environment["DOCKER_HOST"] = f"unix://{SOCKET}"
    host.wait(f"curl -fsS -m 2 --unix-socket {SOCKET} http://podman/_ping", 20, "Podman's socket answers")


def clean(host: Host) -> None:
    """Remove its pods, containers and networks."""
    host.run("podman pod rm -af; podman rm -af; podman network prune -f")


# Storage is no overlay upon an overlay; crun refuses a machine with cgroups of both versions; without the plugins of CNI the
# network that Debian's package brings for it is an error.
_STORAGE = """
umount /sys/fs/cgroup/unified 2>/dev/null || :
rm -rf /etc/cni/net.d
mkdir -p /run/podman /var/lib/containers /etc/containers
mount -t tmpfs -o mode=755 tmpfs /var/lib/containers
cat >/etc/containers/containers.conf <<'end'
[containers]
cgroups = "disabled"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
end
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >/etc/containers/policy.json
"""
