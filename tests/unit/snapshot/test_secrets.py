from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.snapshot.daemon_files import without_secrets as of_files
from dockernet_doctor.snapshot.firewall import without_secrets as of_rules
from dockernet_doctor.snapshot.secrets import is_secret_key, scrub, secret_values

ID = "3f2a9d0e5b6c7d8e9f3f2a9d0e5b6c7d8e9f3f2a9d0e5b6c7d8e9f3f2a9d0e5b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://u:p@ss/w0rd@db:5432/x failed", "postgres://***@db:5432/x failed"),
        ("proxy http://u:p@10.0.0.1:3128", "proxy http://***@10.0.0.1:3128"),
        ("GET /callback?token=abc&x=1 HTTP/1.1", "GET /callback?*** HTTP/1.1"),
        ("user:pw1@tcp(db:3306)/app", "***@tcp(db:3306)/app"),
        ('PASSWORD: "hunter 2 x" next', 'PASSWORD: "***" next'),
        ("password=hunter2, retrying", "password=***, retrying"),
        ('"splunk-token": "abc",', '"splunk-token": "***",'),
        ("Authorization: Basic abcd efgh", "Authorization: ***"),
        ("sent Bearer abcdefgh.ijk", "sent Bearer ***"),
        ("mysqldump --password hunter2 -h db", "mysqldump --password *** -h db"),
        ("docker swarm join --token SWMTKN-1-abc-def 10.0.0.1:2377", "docker swarm join --token *** 10.0.0.1:2377"),
        ("key QWxhZGRpbjpvcGVuIHNlc2FtZQ12xx==", "key ***"),
        ("sum 0123456789abcdef0123456789abcdef", "sum ***"),
        ("a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig b", "a *** b"),
        ('exec: "mysql -psecret": executable file not found', 'exec: "mysql ***": executable file not found'),
    ],
)
def test_secrets_go(text: str, expected: str) -> None:
    assert scrub(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "dial tcp 172.18.0.3:5432: connect: connection refused",
        'FATAL: password authentication failed for user "app"',
        "Access denied for user root (using password: YES)",
        "client version 1.24 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version",
        "open /proc/sys/net/bridge/bridge-nf-call-iptables: no such file or directory",
        "error while loading /usr/local/lib/python3.11/site-packages/FooBarBazQuxThing/module.py",
        "Error starting userland proxy: listen tcp4 0.0.0.0:8108: bind: address already in use",
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
        "[resolver] failed to query external DNS server: read udp 172.18.0.2:55135->10.0.0.2:53: i/o timeout",
        "lookup registry.example on 127.0.0.11:53: no such host",
        "cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf",
    ],
)
def test_what_a_diagnosis_needs_stays(text: str) -> None:
    assert scrub(text, ids=True) == text


def test_ids_stay_in_the_engines_own_texts_only() -> None:
    assert scrub(f"network {ID} not found", ids=True) == f"network {ID} not found"
    assert scrub(f"signing with {ID}") == "signing with ***"


def test_known_values_go_wherever_they_stand() -> None:
    assert scrub("login as hunter2!", {"hunter2"}) == "login as ***!"
    assert scrub("the key is abc, not abcd", {"abc"}) == "the key is ***, not abcd"


def test_secret_values() -> None:
    assert secret_values("POSTGRES_PASSWORD", "hunter2") == {"hunter2"}
    assert secret_values("DATABASE_URL", "postgres://u:p%40ss@db/x") == {"p%40ss", "p@ss"}
    assert secret_values("POSTGRES_HOST_AUTH_METHOD", "trust") == set()
    assert secret_values("DB_HOST", "db") == set()


@pytest.mark.parametrize("key", ["PASSWORD", "db-pass", "API_KEY", "apikey", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY"])
def test_secret_keys(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize("key", ["DB_HOST", "KEYBOARD", "AUTHOR", "PASSIVE_PORTS", "PORT", "MONKEYS"])
def test_other_keys(key: str) -> None:
    assert not is_secret_key(key)


SECRET = st.text("abcXYZ0189_-/?#@:&+%!$.~^", min_size=6, max_size=24).map(lambda text: f"S3c{text}t")
AROUND = st.text(" abc:.,'\"=\n", max_size=12)


@settings(deadline=None, derandomize=True)
@given(SECRET, AROUND, AROUND)
def test_no_planted_secret_stays(secret: str, before: str, after: str) -> None:
    known = secret_values("TOKEN", secret)
    assert secret not in scrub(f"{before}{secret}{after}", known)
    for text in (f"http://user:{secret}@db:80/x", f"see http://db/x?token={secret}", f"password={secret}", f"API_KEY: {secret}",
                 f"Authorization: {secret}", f'"token": "{secret}"', f"--password {secret}"):  # fmt: skip
        assert secret not in scrub(f"{before} {text}\n{after}")


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_lines_stay_lines(text: str) -> None:
    assert scrub(text).count("\n") <= text.count("\n")


PARTS = [
    "a", "token", "x-", "?a", "a:", "a=", "encrypt", "-", "pwd ", "://", '"', "a://b", "--pwd ", "password is ",
    "password for a ", "password ", "-p", "-u a:", "--user a:", "mysql -p", "redis-cli -a ", "sshpass -p ", "$apr1$",
    "admin:1", "{SHA}a", "hooks/", "a/webhook/", "a-hooks", '\\"', 'password: \\"', "a+", "-eyJ", "eyJa.", "sk-", '"\\',
    "a@", "a:b@", "user:pass@", "curl -u", "token was ", "rabbitmqctl add_user a ", "-----BEGIN PRIVATE KEY-----",
    "Environment=a ", '"log-opts":{', '--comment "',
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_no_text_takes_long(part: str) -> None:
    started = time.process_time()
    text = part * (16000 // len(part))
    scrub(text)
    for kind in ("environment", "drop-in", "daemon.json"):
        of_files(text, kind)
    of_rules(f'--comment {text} "comment": {text}')
    assert time.process_time() - started < 1
