"""The daemon's options: flags as dockerd reads them, units as systemd does, and what of them is in force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockernet_doctor.snapshot import daemon_options as options
from dockernet_doctor.snapshot.daemon_json import parse_daemon_json
from dockernet_doctor.snapshot.model import Daemon, TextFile
from dockernet_doctor.snapshot.systemd_unit import assignments, environment_file, read_unit, split_command

UNIT = "/usr/lib/systemd/system/docker.service"
DROP_IN = "/etc/systemd/system/docker.service.d/override.conf"
# Debian's unit file of docker.io 20.10, shortened to what bears on the command.
DEBIAN = """\
[Unit]
Description=Docker Application Container Engine

[Service]
Type=notify
# the default is not to use systemd for cgroups because the delegate issues still
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
ExecReload=/bin/kill -s HUP $MAINPID
"""


def unit(text: str, path: str = UNIT) -> TextFile:
    return TextFile(path=path, kind="unit", text=text)


def drop_in(text: str, path: str = DROP_IN) -> TextFile:
    return TextFile(path=path, kind="drop-in", text=text)


def daemon_json(text: str, modified_at: str = "") -> TextFile:
    return TextFile(path="/etc/docker/daemon.json", kind="daemon.json", text=text, modified_at=modified_at)


def values(line: options.CommandLine) -> dict[str, tuple[str, ...]]:
    return {setting.key: setting.values for setting in line.settings}


FLAGS = [
    (["-H", "fd://", "--host=tcp://0.0.0.0:2375"], {"hosts": ("fd://", "tcp://0.0.0.0:2375")}),
    (["-Hunix:///x", "-H=fd://"], {"hosts": ("unix:///x", "fd://")}),
    (["--iptables=false", "--icc=0", "--ipv6"], {"iptables": ("false",), "icc": ("false",), "ipv6": ("true",)}),
    (["--bip", "10.1.0.1/24", "--bip=10.2.0.1/24"], {"bip": ("10.2.0.1/24",)}),
    (["-Dl", "debug"], {"debug": ("true",), "log-level": ("debug",)}),
    (["--dns=1.1.1.1,8.8.8.8"], {"dns": ("1.1.1.1", "8.8.8.8")}),
    (["--default-address-pool", "base=10.0.0.0/8,size=24"], {"default-address-pools": ("base=10.0.0.0/8,size=24",)}),
    (["--insecure-registry=r:5000", "--label=a=b"], {"insecure-registries": ("r:5000",), "labels": ("a=b",)}),
    (["--cluster-store-opt", "kv.path=x"], {"cluster-store-opts": ("kv.path=x",)}),
]


@pytest.mark.parametrize(("words", "expected"), FLAGS, ids=[" ".join(f[0])[:30] for f in FLAGS])
def test_flags(words: list[str], expected: dict[str, tuple[str, ...]]) -> None:
    line = options.parse_flags(words)
    assert not line.problems
    assert values(line) == expected


PROBLEMS = [
    (["--cluster-advertize", "eth1:2376"], "unknown flag: --cluster-advertize", "--cluster-advertise"),
    (["--hosts=fd://"], "unknown flag: --hosts", "--host"),
    (["--insecure-registries=x"], "unknown flag", "--insecure-registry"),
    (["--bip"], "flag needs an argument: --bip", ""),
    (["--iptables=never"], "not a boolean", ""),
    (["--mtu=big"], "not a number", ""),
    (["--iptables", "false"], "accepts no arguments", ""),
    (["-x"], "unknown shorthand flag: 'x'", ""),
]


@pytest.mark.parametrize(("words", "message", "nearest"), PROBLEMS, ids=[" ".join(p[0]) for p in PROBLEMS])
def test_refused_words(words: list[str], message: str, nearest: str) -> None:
    (problem,) = options.parse_flags(words).problems
    assert message in problem.message
    assert problem.nearest == nearest


@given(st.lists(st.text(alphabet='-=HDbil "/:x', max_size=8), max_size=6))
def test_no_command_line_breaks_the_flags(words: list[str]) -> None:
    line = options.parse_flags(words)
    assert all(setting.key in options.KINDS for setting in line.settings)


def test_a_bool_takes_no_following_word() -> None:
    assert values(options.parse_flags(["--icc", "--mtu", "1400"])) == {"icc": ("true",), "mtu": ("1400",)}


# --- systemd ---


def test_environment_file_fills_the_command() -> None:
    files = (
        unit(DEBIAN),
        TextFile(path="/etc/default/docker", kind="environment", text="# mine\nDOCKER_OPTS='--icc=false --mtu 1400'\n"),
    )
    said = options.written(Daemon(files=files))
    assert said.command[:3] == ("/usr/sbin/dockerd", "-H", "fd://")
    assert values(said.flags)["mtu"] == ("1400",)
    assert values(said.flags)["icc"] == ("false",)


def test_drop_in_with_reset_replaces_the_command() -> None:
    files = (
        unit(DEBIAN),
        drop_in("[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd \\\n  # why\n  -H fd:// \\\n  --bip=10.1.0.1/24"),
    )
    found = read_unit(files)
    assert not found.refused
    assert found.drop_ins == (DROP_IN,)
    assert values(options.written(Daemon(files=files)).flags) == {"hosts": ("fd://",), "bip": ("10.1.0.1/24",)}


def test_drop_in_without_reset_is_refused() -> None:
    found = read_unit((unit(DEBIAN), drop_in("[Service]\nExecStart=/usr/sbin/dockerd --bip=10.1.0.1/24\n")))
    assert found.refused
    assert [(d.file, d.line) for d in found.commands] == [(UNIT, 8), (DROP_IN, 2)]


def test_a_unit_in_etc_hides_the_packaged_one_and_drop_ins_go_by_name() -> None:
    lib = "/usr/lib/systemd/system/docker.service.d"
    files = (
        unit(DEBIAN),
        unit("[Service]\nExecStart=/usr/bin/dockerd --icc=false\n", "/etc/systemd/system/docker.service"),
        drop_in("[Service]\nEnvironment=A=etc\n", "/etc/systemd/system/docker.service.d/10-a.conf"),
        drop_in("[Service]\nEnvironment=A=lib\n", f"{lib}/10-a.conf"),
        drop_in("[Service]\nEnvironment=B=lib\n", f"{lib}/05-b.conf"),
    )
    found = read_unit(files)
    assert found.fragment == "/etc/systemd/system/docker.service"
    assert found.drop_ins == (f"{lib}/05-b.conf", "/etc/systemd/system/docker.service.d/10-a.conf")
    assert options.unit_environment(found, files) == {"A": "etc", "B": "lib"}
    assert values(options.written(Daemon(files=files)).flags) == {"icc": ("false",)}


def test_words_of_a_command() -> None:
    environment = {"OPTS": "--a b", "ONE": "x y"}
    words = split_command("-/usr/bin/dockerd $OPTS \"--l=${ONE}\" '$OPTS' $$HOME a%%b $NONE", environment)
    assert words == ("/usr/bin/dockerd", "--a", "b", "--l=x y", "$OPTS", "$HOME", "a%b")


def test_assignments_and_environment_files() -> None:
    assert assignments('A=1 "B=two words" C="x"') == {"A": "1", "B": "two words", "C": "x"}
    text = "A=1\n; no\n#B=2\nC=\"x y\"\nD='$z'\nE=a\\\nb\nexport F=1\nG=last"
    assert environment_file(text) == {"A": "1", "C": "x y", "D": "$z", "E": "a b", "G": "last"}


@given(st.text(alphabet="[]=\\\n#;$\"' Service ExecStart", max_size=80))
def test_no_unit_file_breaks_the_reader(text: str) -> None:
    files = (unit(text), drop_in(text))
    said = options.written(Daemon(files=files))
    assert said.unit.fragment == UNIT


@given(st.dictionaries(st.from_regex(r"[A-Z]{1,6}", fullmatch=True), st.text(alphabet="ab =:/-", max_size=10), max_size=4))
def test_quoted_environment_is_read_back(variables: dict[str, str]) -> None:
    assert assignments(" ".join(f'"{name}={value}"' for name, value in variables.items())) == variables


# --- daemon.json, and all together ---


def test_json_and_flags_speak_alike() -> None:
    text = """{"hosts": ["fd://"], "default-address-pools": [{"base": "10.0.0.0/8", "size": 24}], "icc": false,
    "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}}, "mtu": null,
    "proxies": {"http-proxy": "http://p:1"}}"""
    settings = options.json_settings(parse_daemon_json(text), "f")
    assert {s.key: s.values for s in settings} == {
        "hosts": ("fd://",),
        "default-address-pools": ("base=10.0.0.0/8,size=24",),
        "icc": ("false",),
        "default-network-opts": ("bridge=com.docker.network.driver.mtu=1400",),
        "http-proxy": ("http://p:1",),
    }


def test_wrong_types_and_unknown_keys() -> None:
    # each refused by 20.10, 26.1 and 28.5
    parsed = parse_daemon_json('{"dns": "1.1.1.1", "iptables": "false", "mtu": "1400", "bip": 1, "default-address-pools": {}}')
    assert [(w.key, w.corrected) for w in options.wrong_types(parsed)] == [
        ("dns", ["1.1.1.1"]),
        ("iptables", False),
        ("mtu", 1400),
        ("bip", "1"),
        ("default-address-pools", [{}]),
    ]
    nested = (
        '{"log-opts": {"max-size": 10}, "default-address-pools": [{"base": "10.0.0.0/8", "size": "24"}],'
        ' "features": {"buildkit": "true"}, "labels": {"a": "b"}, "bip": ["10.1.0.1/24"], "dns": {}}'
    )
    assert [(w.found, w.corrected) for w in options.wrong_types(parse_daemon_json(nested))] == [
        ("max-size: the number 10", {"max-size": "10"}),
        ('size: the string "24"', [{"base": "10.0.0.0/8", "size": 24}]),
        ('buildkit: the string "true"', {"buildkit": True}),
        ("an object", ["a=b"]),
        ("a list", "10.1.0.1/24"),
        ("an object", None),
    ]
    unknown = options.unknown_keys(
        parse_daemon_json('{"cluster-advertize": "x", "host": [], "insecure_registries": [], "zz": 1}')
    )
    assert [(u.key, u.nearest) for u in unknown] == [
        ("cluster-advertize", "cluster-advertise"),
        ("host", "hosts"),
        ("insecure_registries", "insecure-registries"),
        ("zz", ""),
    ]


def test_given_twice() -> None:
    both = options.given_twice(Daemon(files=(unit(DEBIAN), daemon_json('{"hosts": ["unix:///x"], "icc": true}'))))
    assert [(flag.key, flag.values, key.where) for flag, key in both] == [("hosts", ("fd://",), "/etc/docker/daemon.json:1")]


def test_what_is_written_and_what_runs() -> None:
    arguments = ("/usr/sbin/dockerd", "-H", "fd://", "--containerd=/run/containerd/containerd.sock")
    files = (unit(DEBIAN), TextFile(path="/etc/default/docker", kind="environment", text='DOCKER_OPTS="--icc=false"\n'))
    (difference,) = options.differences(Daemon(pid=7, arguments=arguments, files=files))
    assert difference.key == "icc"
    assert difference.running is None
    assert options.differences(Daemon(pid=7, arguments=(*arguments, "--icc=false"), files=files)) == ()
    # without a unit of its own, nothing is compared
    assert options.differences(Daemon(pid=7, arguments=("dockerd", "-D"), files=())) == ()


@pytest.mark.parametrize(("modified", "in_force"), [("2026-01-01T00:00:00Z", True), ("2026-01-03T00:00:00Z", False)])
def test_a_file_edited_later_is_not_what_runs(modified: str, in_force: bool) -> None:
    now = options.running(
        Daemon(
            pid=7, started_at="2026-01-02T00:00:00Z", arguments=("dockerd",), files=(daemon_json('{"mtu": 1400}', modified),)
        )
    )
    assert now is not None
    assert ("mtu" in now) is in_force
