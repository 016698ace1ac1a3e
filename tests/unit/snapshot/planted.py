"""Secrets in every form, planted in every place from which a snapshot is made: each cell of the table has its own secret."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from dockernet_doctor.snapshot import daemon_files, daemon_log
from dockernet_doctor.snapshot import engine as engine_reader
from dockernet_doctor.snapshot.client import read_client
from dockernet_doctor.snapshot.compose_files import read_compose_files
from dockernet_doctor.snapshot.engine import read_engine
from dockernet_doctor.snapshot.firewall import without_secrets
from dockernet_doctor.snapshot.http import Api
from dockernet_doctor.snapshot.model import Compose, Daemon, FirewallDump, Host, NetworkStack, Snapshot

from .replay import recording, replayed


class Form(NamedTuple):
    key: str  # of a setting that holds it
    text: str  # % is the secret
    shape: str = "password"


FORMS = {
    "assigned": Form("OPTIONS", "DB_PASSWORD=%"),
    "quoted": Form("OPTIONS", 'password: "%"'),
    "json": Form("SETTINGS", '{"api_key": "%"}'),
    "prose": Form("MOTD", "cannot log in: the admin password is %"),
    "prose, of whom": Form("MOTD", "invalid password for admin: %"),
    "prose, quoted": Form("MOTD", "error: login with password '%' refused"),
    "prose, bare": Form("MOTD", "failed to connect with password %"),
    "token in prose": Form("MOTD", "error: token was %"),
    "postgres": Form("DATABASE", "postgres://app:%@db:5432/shop"),
    "redis": Form("CACHE", "redis://:%@cache:6379/0"),
    "amqp": Form("QUEUE", "amqp://guest:%@mq:5672/"),
    "mongodb": Form("STORE", "mongodb+srv://app:%@cluster.example/shop"),
    "user alone": Form("REMOTE", "https://%@git.example/shop.git"),
    "go dsn": Form("DATABASE", "app:%@tcp(db:3306)/shop"),
    "jdbc": Form("DATABASE", "jdbc:mysql://db:3306/shop?user=app&password=%"),
    "ado": Form("DATABASE", "Server=db,1433;User Id=sa;Password=%;"),
    "libpq": Form("DATABASE", "host=db port=5432 user=app password=%"),
    "query": Form("CALLBACK", "http://api:8080/cb?state=%&x=1"),
    "bearer": Form("HEADER", "Authorization: Bearer %"),
    "basic": Form("HEADER", "Authorization: Basic %", "base64"),
    "cookie": Form("HEADER", "Cookie: id=%; path=/"),
    "header": Form("HEADER", "X-Vault-Token: %"),
    "long option": Form("RUN", "app --password % --port 80"),
    "long option, =": Form("RUN", "redis-server --requirepass=%"),
    "mysql -p": Form("RUN", "mysqladmin -h db -p% ping failed"),
    "-p": Form("RUN", "connect failed: -p%"),
    "redis-cli -a": Form("RUN", "redis-cli -h cache -a % ping failed"),
    "curl -u": Form("RUN", "curl -f -u admin:% http://web:8080/health"),
    "curl -uX": Form("RUN", "curl -f -uadmin:% http://web:8080/health"),
    "sshpass": Form("RUN", "sshpass -p % ssh backup@far"),
    "long option in two names": Form("RUN", "wget --http-password=% http://web"),
    "option of one dash": Form("RUN", "influx -username a -password % ping"),
    "cqlsh": Form("RUN", "cqlsh -u a -p % cassandra"),
    "mosquitto": Form("RUN", "mosquitto_sub -u a -P % -t all"),
    "sqlplus": Form("RUN", "sqlplus scott/%@db"),
    "mc": Form("RUN", "mc alias set s3 http://minio:9000 admin %"),
    "rabbitmqctl": Form("RUN", "rabbitmqctl add_user bob %"),
    "redis.conf": Form("X_SETTING", "masterauth %"),
    "SQL": Form("X_SETTING", "ALTER USER a IDENTIFIED BY '%'"),
    "XML": Form("MOTD", "error: <password>%</password>"),
    "a pair": Form("MOTD", "error: ('password', '%')"),
    "psk": Form("MOTD", "error: psk=%"),
    "pw": Form("MOTD", "error: DB_PW=%"),
    "Kennwort": Form("MOTD", "error: Kennwort: %"),
    "credentials": Form("MOTD", "error: bad credentials bob:%"),
    "session": Form("MOTD", "error: PHPSESSID=%"),
    "environment of a command": Form("RUN", "PGPASSWORD=% psql -h db"),
    "user and digits": Form("LOGIN", "admin:%", "digits"),
    "user and digits, no key": Form("X_SETTING", "bob:%", "digits"),
    "htpasswd": Form("USERS", "admin:$apr1$%", "hash"),
    "bcrypt": Form("USERS", "admin:$2y$05$%", "hash"),
    "AWS id": Form("X_ID", "AKIA%", "upper"),
    "AWS secret": Form("X_VALUE", "%", "aws"),
    "GitHub": Form("X_VALUE", "ghp_%", "token"),
    "JWT": Form("X_VALUE", "eyJhbGciOiJIUzI1NiJ9.%.c2ln", "token"),
    "join token": Form("X_VALUE", "docker swarm join --token SWMTKN-1-%-abc 10.0.0.1:2377", "token"),
    "WireGuard": Form("X_VALUE", "PrivateKey = %=", "aws"),
    "PEM": Form("X_VALUE", "-----BEGIN PRIVATE KEY----- % -----END PRIVATE KEY-----", "token"),
    "blob": Form("X_VALUE", "%==", "token"),
    "Slack": Form("NOTIFY", "https://hooks.slack.com/services/T0AB1CD2E/B0AB1CD2E/%", "token"),
    "Docker login": Form("X_VALUE", '{"auths": {"registry.example": {"auth": "%"}}}', "base64"),
}


def secret(form: str, place: str) -> str:
    """The secret of one cell, always the same."""
    digest = hashlib.sha256(f"{form} in {place}".encode())
    word = base64.b32encode(digest.digest()).decode()
    return {
        "password": f"{word[:4].lower()}7{word[4:9].lower()}!3",
        "digits": str(20000 + int(digest.hexdigest()[:8], 16) % 40000),
        "base64": base64.b64encode(f"u:{word[:9].lower()}".encode()).decode().rstrip("="),
        "hash": f"{word[:8].lower()}${word[8:30]}",
        "upper": word[:16],
        "aws": base64.b64encode(digest.digest()).decode()[:40],
        "token": base64.b64encode(digest.digest()).decode()[:36].replace("+", "a").replace("/", "b"),
    }[FORMS[form].shape]


def text(form: str, place: str) -> str:
    return FORMS[form].text.replace("%", secret(form, place))


def _settings(place: str) -> dict[str, str]:
    """Each form under its own key."""
    return {f"{FORMS[form].key}_{number}" if FORMS[form].key != "LOGIN" else "LOGIN": text(form, place)
            for number, form in enumerate(FORMS)}  # fmt: skip


def _environment(place: str) -> list[str]:
    return [f"{key}={value}" for key, value in _settings(place).items()]


def _frames(lines: list[str]) -> dict[str, str]:
    body = "\n".join(lines).encode()
    return {"base64": base64.b64encode(b"\x01\0\0\0" + len(body).to_bytes(4, "big") + body).decode()}


def _inspected(answers: dict[str, Any]) -> None:
    """A container for each form, unhealthy and crashed, from a recorded one."""
    model = next(a for p, a in answers.items() if p.endswith("/json") and "/containers/" in p and a["Name"] == "/web")
    listed = answers["/containers/json?all=1"]
    entry = next(item for item in listed if item["Id"] == model["Id"])
    network = next(iter(model["NetworkSettings"]["Networks"]))
    for number, form in enumerate(FORMS):
        made = copy.deepcopy(model)
        made["Id"] = hashlib.sha256(form.encode()).hexdigest()
        made["Name"] = f"/planted{number}"
        config = made["Config"]
        key = FORMS[form].key
        config["Env"] = [f"{key}={text(form, 'environment')}", f"KNOWN_PASSWORD={secret(form, 'known value')}"]
        config["Labels"] = {
            **{k: v for k, v in (config["Labels"] or {}).items() if k.startswith("com.docker.")},
            f"vendor.{key.lower()}": text(form, "label"),
            "traefik.http.middlewares.auth.basicauth.users": f"admin:{secret(form, 'basicauth label')}",
        }
        config["Entrypoint"] = ["/bin/sh", "-c", text(form, "entrypoint")]
        config["Cmd"] = text(form, "command").split(" ")
        config["Healthcheck"] = {"Test": ["CMD-SHELL", text(form, "health check")]}
        made["HostConfig"]["LogConfig"] = {"Type": "splunk", "Config": {"splunk-token": text(form, "log option")}}
        made["NetworkSettings"]["Networks"][network]["DriverOpts"] = {f"vendor.{key.lower()}": text(form, "endpoint option")}
        made["State"] |= {
            "Status": "exited", "Running": False, "ExitCode": 1, "Pid": 0, "Error": f"exec failed: {text(form, 'State.Error')}",
            "Health": {"Status": "unhealthy", "FailingStreak": 3, "Log": [
                {"ExitCode": 1, "Output": f"check failed: {text(form, 'health output')} {text(form, 'health check')}\n"}]},
        }  # fmt: skip
        answers[f"/containers/{made['Id']}/json"] = made
        listed.append({**entry, "Id": made["Id"], "Names": [made["Name"]]})
        lines = [
            "starting",
            f"error: {text(form, 'log')}",
            text(form, "bare log"),
            f"error: login with {secret(form, 'known value')} failed",
            f"sh: {text(form, 'command')}: not found" if form != "user and digits, no key" else "",
        ]
        answers[f"/containers/{made['Id']}/logs?stdout=1&stderr=1&tail=20"] = _frames(lines)
    of_bridge = next(item for item in answers["/networks"] if item["Name"] == "app")
    for item in (of_bridge, answers[f"/networks/{of_bridge['Id']}"]):
        item["Options"] = {**(item["Options"] or {}), **{f"vendor.{k}": v for k, v in _settings("network option").items()}}
        item["Labels"] = _settings("network label")
    info = answers["/info"]
    info["Warnings"] = [f"WARNING: {text(form, 'warning')}" for form in FORMS]
    info["HttpProxy"] = f"http://proxy:{secret('redis', 'proxy')}@proxy.example:3128"
    info["HttpsProxy"] = f"http://{secret('user alone', 'proxy')}@proxy.example:3128"
    info["ClusterStore"] = f"etcd://root:{secret('redis', 'store')}@10.0.0.5:2379"
    if answers.get("/services?status=true"):
        template = answers["/services?status=true"][0]["Spec"]["TaskTemplate"]["ContainerSpec"]
        template["Env"] = _environment("service environment")
        template["Args"] = [word for form in FORMS for word in text(form, "service command").split(" ")]
        answers["/services?status=true"][0]["Spec"]["Labels"] = _settings("service label")


def _compose_file() -> str:
    def block(name: str, entries: list[str], indent: int) -> str:
        return " " * indent + f"{name}:\n" + "".join(f"{' ' * indent}  {entry}\n" for entry in entries)

    def pairs(place: str) -> list[str]:
        return [f"{key}: {json.dumps(value)}" for key, value in _settings(place).items()]

    return (
        "".join(f"# error {text(form, 'compose comment')}\n" for form in FORMS)
        + block("x-common", pairs("compose extension"), 0)
        + "services:\n  web:\n    image: nginx\n"
        + block("environment", pairs("compose environment"), 4)
        + block("labels", pairs("compose labels"), 4)
        + block("command", [f"- {json.dumps(text(form, 'compose command'))}" for form in FORMS], 4)
        + "    networks:\n      app:\n"
        + block("driver_opts", pairs("compose endpoint options"), 8)
        + "  db:\n"
        + block("environment", [f"- {json.dumps(item)}" for item in _environment("compose environment list")], 4)
        + "networks:\n  app:\n"
        + block("driver_opts", pairs("compose network options"), 4)
        + block("labels", [f"- {json.dumps(item)}" for item in _environment("compose network labels")], 4)
        + "secrets:\n"
        + block("one", pairs("compose secrets"), 2)
    )


def _daemon(directory: Path, patch: pytest.MonkeyPatch) -> Daemon:
    units = directory / "units"
    (units / "docker.service.d").mkdir(parents=True)
    variables = directory / "variables"
    variables.write_text("".join(f"{key}={json.dumps(value)}\n" for key, value in _settings("environment file").items()))
    quoted = [json.dumps(item) for item in _environment("unit environment")]
    (units / "docker.service").write_text(
        "[Service]\n"
        + "".join(f"# {text(form, 'unit comment')}\n" for form in FORMS)
        + "".join(f"Environment={item}\n" for item in quoted)
        + f"EnvironmentFile={variables}\nExecStart=/usr/bin/dockerd --icc=false\n"
    )
    options = " ".join(f"--log-opt {key}={json.dumps(value)}" for key, value in _settings("unit command").items())
    (units / "docker.service.d/10.conf").write_text(f"[Service]\nExecStart=\nExecStart=/usr/bin/dockerd {options}\n")
    config = directory / ".config/docker"
    config.mkdir(parents=True)
    settings = {
        "log-opts": _settings("daemon.json log-opts"),
        "labels": _environment("daemon.json labels"),
        "registry-mirrors": [f"https://me:{secret('redis', 'mirror')}@mirror.example"],
        "proxies": {"http-proxy": f"http://me:{secret('redis', 'daemon.json proxy')}@proxy.example:3128"},
        "node-generic-resources": [text(form, "daemon.json") for form in FORMS],
    }
    (config / "daemon.json").write_text(json.dumps(settings, indent=1))
    patch.setattr(daemon_files, "DIRECTORIES", (str(units),))
    patch.setattr(daemon_files, "DEFAULTS", ())
    patch.setattr(daemon_log, "find_program", lambda _name: "")
    log = directory / "docker.log"
    lines = [f"network error: {text(form, 'daemon log')}" for form in FORMS]
    log.write_text("".join(f'time="2025-11-25T22:00:00Z" level=error msg={json.dumps(line)}\n' for line in lines))
    files = (*daemon_files.read_files()[0], *daemon_files.read_files(home=directory)[0])
    kept, source, _ = daemon_log.read_log(time.monotonic() + 60, files=(str(log),))
    arguments = tuple(daemon_files.without_secrets(f"--label={text(form, 'daemon argument')}") for form in FORMS)
    return Daemon(pid=1, readable=True, files=files, log=kept, log_source=source, arguments=("dockerd", *arguments))


def _dumps() -> tuple[FirewallDump, ...]:
    rules = "".join(f"-A FORWARD -s 10.9.{n}.0/24 -m comment --comment {json.dumps(text(form, 'rule comment'))} -j DROP\n"
                    for n, form in enumerate(FORMS))  # fmt: skip
    prefixes = "".join(
        f'-A FORWARD -j LOG --log-prefix "{text(form, "log prefix")} "\n' for form in FORMS if '"' not in FORMS[form].text
    )
    legacy = f"# Generated by iptables-save v1.8.9\n*filter\n:FORWARD ACCEPT [0:0]\n{rules}{prefixes}COMMIT\n"
    place = {"family": "inet", "table": "mine"}
    accept: list[dict[str, Any]] = [{"accept": None}]
    native: list[dict[str, Any]] = [
        {"table": {"family": "inet", "name": "mine", "handle": 1}},
        {"chain": {**place, "name": "in", "handle": 2, "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}},
        *({"rule": {**place, "chain": "in", "handle": n, "comment": text(form, "nft comment"), "expr": accept}}
          for n, form in enumerate(FORMS, 3)),
    ]  # fmt: skip
    return (
        FirewallDump(tool="iptables-legacy", family=4, text=without_secrets(legacy)),
        FirewallDump(tool="nft", family=None, text=without_secrets(json.dumps({"nftables": native}))),
    )


def snapshot(directory: Path, patch: pytest.MonkeyPatch) -> Snapshot:
    """What the readers make of a host that is full of secrets."""
    answers = copy.deepcopy(recording("28.5")["answers"])
    _inspected(answers)
    patch.setattr(engine_reader, "_LOGS_AT_MOST", 100)
    with replayed(directory, answers) as (endpoint, _), Api(endpoint, timeout=30, deadline=time.monotonic() + 60) as api:
        reading = read_engine(api)
    compose = directory / "compose.yaml"
    compose.write_text(_compose_file())
    named = [replace(reading.containers[0], compose=Compose(project="p", service="web", config_files=(str(compose),)))]
    store = f"tcp://me:{secret('redis', 'DOCKER_HOST')}@10.0.0.9:2375"
    return Snapshot(
        name="h1", taken_at="2026-01-01T00:00:00Z", endpoint="unix:///var/run/docker.sock",
        engine=reading.engine, problem=reading.problem, networks=reading.networks, containers=reading.containers,
        services=reading.services, compose_files=read_compose_files(named),
        host=Host(stack=NetworkStack(firewall=_dumps())), daemon=_daemon(directory, patch),
        client=read_client(endpoint, {"DOCKER_HOST": store}), blind_spots=reading.blind_spots, removed=reading.removed,
    )  # fmt: skip


def planted() -> dict[str, list[str]]:
    """Every secret, with the cells of the table in which it is."""
    single = [("redis", p) for p in ("proxy", "store", "mirror", "daemon.json proxy", "DOCKER_HOST")]
    cells = [
        (form, place) for form in FORMS for place in PLACES if (form, place in _OF_PROSE) != ("user and digits, no key", True)
    ]
    cells += [*single, ("user alone", "proxy")]
    found: dict[str, list[str]] = {}
    for form, place in cells:
        found.setdefault(secret(form, place), []).append(f"{form} in {place}")
    return found


PLACES = (
    "environment", "known value", "label", "basicauth label", "entrypoint", "command", "health check", "log option",
    "endpoint option", "State.Error", "health output", "log", "bare log", "network option", "network label", "warning",
    "service environment", "service command", "service label", "compose comment", "compose extension", "compose environment",
    "compose labels", "compose command", "compose endpoint options", "compose environment list", "compose network options",
    "compose network labels", "compose secrets", "environment file", "unit comment", "unit environment", "unit command",
    "daemon.json log-opts", "daemon.json labels", "daemon.json", "daemon log", "daemon argument", "rule comment", "log prefix",
    "nft comment",
)  # fmt: skip

# Where bob:12345 may as well be a host and its port, which must stay.
_OF_PROSE = frozenset(
    ("State.Error", "health output", "log", "bare log", "warning", "compose comment", "unit comment", "daemon.json labels",
     "daemon.json", "daemon log", "daemon argument", "rule comment", "log prefix", "nft comment", "health check")
)  # fmt: skip
