"""Users of this machine who would have root read for them what they may not read themselves: real processes and files, of a
user who has no rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from dockernet_doctor.snapshot import bundle, daemon, socket_owners, trusted
from dockernet_doctor.snapshot.compose_files import read_compose_files
from dockernet_doctor.snapshot.daemon_files import read_files
from dockernet_doctor.snapshot.endpoint import choose
from dockernet_doctor.snapshot.model import Compose, Container, State
from dockernet_doctor.snapshot.sandbox import read_sandboxes

from .program import DOCTOR, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

USER = 64_987
SECRET = "10.98.76.54"


@pytest.fixture
def home() -> Iterator[Path]:
    """A user's directory, below directories of root's that all may enter."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        home = root / "home"
        home.mkdir()
        os.chown(home, USER, USER)
        yield home


@pytest.fixture
def secret(home: Path) -> Path:
    """A file that only root may read."""
    return _written(
        home.parent / "secret.yaml", f'{{"dns": ["{SECRET}"], "currentContext": "{SECRET}", "services": {{"web": {{}}}}}}'
    )


def _written(path: Path, text: str, uid: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, uid, uid)
    return path


# --- processes ----------------------------------------------------------------------------------------------------------


def _own_copy(home: Path) -> Path:
    program = Path(shutil.copy("/bin/sh", home / "dockerd"))
    os.chown(program, USER, USER)
    return program


def _link_to_root_s(home: Path) -> Path:
    (home / "dockerd").symlink_to("/bin/sh")
    return home / "dockerd"


def _daemon(home: Path) -> Path:
    return Path(shutil.copy("/bin/sh", home.parent / "dockerd"))


@contextmanager
def _running(program: Path, uid: int, *arguments: str) -> Iterator[int]:
    """A shell of this name that waits, with these arguments behind its own."""
    ids = {"user": uid, "group": uid, "extra_groups": []}
    with subprocess.Popen([program, "-c", "read end", *arguments], stdin=subprocess.PIPE, **ids) as child:  # type: ignore[call-overload]
        assert wait_for(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "dockerd\n")
        yield child.pid
        child.communicate(b"\n")


def _taken(tmp_path: Path, url: str) -> str:
    file = tmp_path / "taken.dnd"
    command = [*DOCTOR, "--host", url, "--timeout", "60"]  # nothing listens there: that is known at once
    shown = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, timeout=120, check=False).stdout
    assert '"blind_spots"' in shown
    subprocess.run(
        [*DOCTOR, "collect", str(file), "--host", url, "--timeout", "60"], capture_output=True, timeout=120, check=False
    )
    return shown + msgspec.json.encode(bundle.loads(file.read_bytes(), "").snapshot).decode()


@pytest.mark.parametrize("fake", [_own_copy, _link_to_root_s])
def test_a_user_s_program_called_dockerd_names_no_file_to_root(
    fake: Callable[[Path], Path], home: Path, secret: Path, tmp_path: Path
) -> None:
    url = "tcp://127.0.0.1:9"
    with _running(fake(home), USER, f"--config-file={secret}", "-H", url):
        assert SECRET not in _taken(tmp_path, url)
        assert not daemon.is_local(url)


def test_root_s_own_names_one(home: Path, secret: Path, tmp_path: Path) -> None:
    url = "tcp://127.0.0.1:9"
    with _running(_daemon(home), 0, f"--config-file={secret}", "-H", url):
        assert SECRET in _taken(tmp_path, url)


def test_a_set_user_id_program_is_not_root_s(home: Path) -> None:
    program = Path(shutil.copy("/bin/sleep", home.parent / "dockerd"))
    program.chmod(0o4755)
    with subprocess.Popen([program, "60"], user=USER, group=USER, extra_groups=[]) as child:
        try:
            assert wait_for(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "dockerd\n")
            assert Path(f"/proc/{child.pid}").stat().st_uid == 0
            process = daemon._process(child.pid)
        finally:
            child.kill()
    assert process is not None
    assert (process.uid, process.installed, process.is_dockerd()) == (-1, False, False)


def test_a_rootless_daemon_is_read_with_its_user_s_rights(home: Path, secret: Path) -> None:
    program = _own_copy(home)
    with _running(program, USER, f"--config-file={secret}") as pid:
        process = daemon._process(pid)
    assert process is not None
    assert process.is_dockerd(USER)
    assert not process.is_dockerd(0)
    (file,), (blind,) = read_files(process.arguments, home, process.uid)
    assert (file.readable, file.text) == (False, "")
    assert (blind.what, blind.why) == (str(secret), "Permission denied")


# --- files --------------------------------------------------------------------------------------------------------------


def test_what_another_user_may_have_put_there_is_read_with_that_user_s_rights(home: Path, secret: Path) -> None:
    mine = _written(home / "mine", "mine", USER)
    root_s = _written(home / "root", SECRET)
    assert trusted.read(str(mine), 100).data == b"mine"
    assert trusted.read(str(secret), 100).data.startswith(b"{")
    with pytest.raises(PermissionError):
        trusted.read(str(root_s), 100)
    with pytest.raises(PermissionError):
        trusted.read(str(secret), 100, USER)
    with pytest.raises(PermissionError):
        trusted.read(f"{home}/../{secret.name}", 100)


def test_the_rights_of_others_end_with_the_reading(home: Path) -> None:
    before = (os.getgroups(), Path("/proc/thread-self/status").read_text().partition("\nUid")[2].splitlines()[0])
    trusted.read(str(_written(home / "mine", "", USER)), 1)
    assert before == (os.getgroups(), Path("/proc/thread-self/status").read_text().partition("\nUid")[2].splitlines()[0])


def test_no_link_is_followed_that_another_user_can_change(home: Path, secret: Path) -> None:
    public = _written(home / "public", "public", USER)
    for name, target in (("to-root", secret), ("to-own", public), ("to-nothing", "none")):
        (home / name).symlink_to(target)
        os.lchown(home / name, USER, USER)
    (home / "folder").symlink_to(secret.parent)  # root's own link, which the user may have moved here
    (home.parent / "in-tmp").symlink_to(secret)  # root's own, but below /tmp
    os.lchown(home.parent / "in-tmp", USER, USER)
    for path in ("home/to-root", "home/to-own", "home/to-nothing", f"home/folder/{secret.name}", "in-tmp"):
        with pytest.raises(OSError, match="a link leads there, which another user can change"):
            trusted.read(str(home.parent / path), 100)


def test_root_s_links_are_followed() -> None:
    for path in Path("/etc").rglob("*"):
        if path.is_symlink() and path.is_file() and path.stat().st_size:
            assert trusted.read(str(path), 100).data == path.read_bytes()[:100]
    assert trusted.read("/proc/self/../../dev/null", 100).data == b""


def test_a_second_name_in_tmp_is_not_read(home: Path, secret: Path) -> None:
    os.link(secret, home.parent / "daemon.json")
    with pytest.raises(OSError, match="another name"):
        trusted.read(str(home.parent / "daemon.json"), 100)


@pytest.mark.parametrize("path", ["/dev/zero", "/etc", "/", "relative", "/a\0b", "/dev/../dev/tty"])
def test_what_is_no_file_is_not_opened(path: str) -> None:
    with pytest.raises(OSError, match=r"not a regular file|not the absolute path"):
        trusted.read(path, 100)


def test_a_link_as_a_rootless_daemon_s_file_is_a_blind_spot(home: Path, secret: Path) -> None:
    config = home / ".config/docker"
    config.mkdir(parents=True)
    for folder in (config, config.parent):
        os.chown(folder, USER, USER)
    (config / "daemon.json").symlink_to(secret)
    os.lchown(config / "daemon.json", USER, USER)
    for uid in (0, USER):
        (file,), (blind,) = read_files(home=home, uid=uid)
        assert (file.readable, file.text) == (False, "")
        assert blind.why == "a link leads there, which another user can change"


def test_a_pipe_blocks_nothing(home: Path) -> None:
    for name in ("daemon.json", "docker.pid"):
        os.mkfifo(home / name)
        os.chown(home / name, USER, USER)
    started = time.monotonic()
    assert daemon._pid_file(f"unix://{home}/docker.sock") == daemon._pid_file("tcp://127.0.0.1")
    (file,), (blind,) = read_files(("dockerd", f"--config-file={home}/daemon.json"), home, USER)
    assert not file.readable
    assert blind.why == "not a regular file"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("text", ["0", "-1", str(1 << 23), "9" * 5000, "1\0", "x"])
def test_a_pid_file_holds_a_pid(home: Path, text: str) -> None:
    _written(home / "docker.pid", text, USER)
    assert daemon._pid_file(f"unix://{home}/docker.sock") == daemon._pid_file("tcp://127.0.0.1")


def test_a_label_names_no_file_that_its_directory_s_owner_may_not_read(home: Path, secret: Path) -> None:
    own = _written(home / "compose.yaml", "services: {web: {ports: ['80:80']}}", USER)
    kept = _written(home / "root-only.yaml", f"services: {{web: {{hostname: {SECRET}}}}}")
    (home / "link.yaml").symlink_to(secret)
    paths = (str(own), str(kept), str(home / "link.yaml"), "/etc/shadow", "/etc/passwd")
    compose = Compose(project="shop", service="web", config_files=paths)
    web = Container(id="1", name="web", state=State(status="running", running=True), compose=compose)
    assert [file.path for file in read_compose_files([web])] == [str(own)]


def test_a_user_s_home_does_not_choose_by_root_s_files(home: Path, secret: Path) -> None:
    (home / ".docker").mkdir()
    os.chown(home / ".docker", USER, USER)
    (home / ".docker/config.json").symlink_to(secret)
    assert choose(env={"HOME": str(home)}).chosen_by == "default"


# --- containers ---------------------------------------------------------------------------------------------------------


def test_what_a_user_mounts_in_a_namespace_is_read_with_that_user_s_rights(secret: Path) -> None:
    """unshare(1), by whom no right is asked for: a container's /etc/hosts is then a file that only root may read."""
    secret.write_text(f"{SECRET} hush\n")
    script = f"mount --bind {secret} /etc/hosts && echo there && read end"
    command = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c", script]
    ids = {"user": USER, "group": USER, "extra_groups": []}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **ids) as child:  # type: ignore[call-overload]
        if child.stdout.readline() != b"there\n":
            pytest.skip("this machine lets no user make namespaces")
        assert Path(f"/proc/{child.pid}/root/etc/hosts").read_text() == secret.read_text()
        reading = read_sandboxes([child.pid])
        child.communicate(b"\n")
    assert reading.sandboxes[child.pid].hosts is None
    assert "/etc/hosts: Permission denied" in reading.problems


@pytest.mark.parametrize(
    ("folder", "container"), [("docker", "c" * 64), ("user.slice/user-1000.slice/user@1000.service", None)]
)
def test_a_cgroup_tells_of_a_container_where_no_user_names_them(folder: str, container: str | None) -> None:
    found = socket_owners._CONTAINER_ID.search(f"3:cpu:/user.slice\n0::/{folder}/{'c' * 64}\n")
    assert (found and found[1]) == container
