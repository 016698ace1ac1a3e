"""Compose files changed: the command that the fix prints is run, and its diff is applied, to files as people write them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes import remedy
from dockernet_doctor.snapshot.compose_files import read_compose_files
from dockernet_doctor.snapshot.model import (
    Compose,
    Container,
    Endpoint,
    Network,
    PortBinding,
    Reference,
    Snapshot,
    State,
)

OPEN = PortBinding(port=80, protocol="tcp", host_port="8080")
LOOPBACK = PortBinding(port=80, protocol="tcp", host_ip="127.0.0.1", host_port="8080")
DEFAULT = Network(id="n0", name="shop_default", driver="bridge", compose_project="shop", compose_network="default")
BACK = Network(id="n1", name="shop_back", driver="bridge", internal=True, compose_project="shop", compose_network="back")


class Project:
    """A project with one service `web`, made from files in a directory."""

    def __init__(self, directory: Path, *texts: str, network: Network = DEFAULT, **fields: Any) -> None:
        self.files = [directory / f"compose-{n}.yaml" for n in range(len(texts))]
        for file, text in zip(self.files, texts, strict=True):
            file.write_text(text)
        compose = Compose(project="shop", service="web", config_files=tuple(map(str, self.files)))
        endpoints = (Endpoint(network=network.name, network_id=network.id),)
        values: dict[str, Any] = {"id": "1" * 64, "state": State(status="running", running=True), **fields}
        self.web = Container(name="shop-web-1", compose=compose, network_mode=network.name, endpoints=endpoints, **values)
        read = read_compose_files([self.web])
        networks = (DEFAULT, BACK, Network(id="n2", name="lan", driver="bridge"))
        self.facts = HostFacts(
            Snapshot(name="h", taken_at="", endpoint="", containers=(self.web,), networks=networks, compose_files=read)
        )

    def after(self, fix: Fix) -> list[str]:
        """The files after the fix's own command; its diff, where it shows one, must come to the same."""
        texts = [file.read_text() for file in self.files]
        command, up = fix.commands
        assert fix.runnable, fix
        assert up.startswith("docker compose -p shop -f ")
        subprocess.run(["sh", "-c", command], check=True)
        changed = [file.read_text() for file in self.files]
        for edit in fix.edits if shutil.which("patch") else ():  # which the lab installs
            Path(edit.file).write_text(texts[[str(file) for file in self.files].index(edit.file)])
            subprocess.run(["patch", "-p0", edit.file], input=edit.diff, text=True, check=True, capture_output=True)
            assert [file.read_text() for file in self.files] == changed
        for file in self.files:
            before = file.with_name(f"{file.name}.before")
            assert not before.exists() or before.read_text() == texts[self.files.index(file)]
        return changed


def service(*lines: str) -> str:
    return "\n".join(["services:", "  web:", "    image: x", *(f"    {line}" for line in lines), "  db:", "    image: y", ""])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (['ports: ["127.0.0.1:8080:80"]'], ["ports:", '  - "8080:80"']),
        (["ports:", "- 127.0.0.1:8080:80/tcp # only", "# end"], ["ports:", '- "8080:80"', "# end"]),
        (["ports:", "  - 9:9", "  - '127.0.0.1:8080:80'", "  - 7:7"], ["ports:", "  - 9:9", '  - "8080:80"', "  - 7:7"]),
        (
            ["ports:", "- target: 80", "  host_ip: 127.0.0.1", '  published: "8080"', "- 9:9", "labels: [a=b]"],
            ["ports:", '- "8080:80"', "- 9:9", "labels: [a=b]"],
        ),
    ],
)
def test_a_port_takes_the_place_of_another(before: list[str], after: list[str], tmp_path: Path) -> None:
    project = Project(tmp_path, service(*before), bindings=(LOOPBACK,))
    (fix,) = remedy.republish(project.facts, project.web, add=[OPEN], remove=[LOOPBACK])
    assert project.after(fix) == [service(*after)]


def test_a_port_that_is_the_first_and_one_that_was_the_last(tmp_path: Path) -> None:
    project = Project(tmp_path, service("restart: always"))
    (fix,) = remedy.republish(project.facts, project.web, add=[OPEN])
    assert project.after(fix)[0].splitlines()[2:4] == ["    ports:", '      - "8080:80"']
    project = Project(tmp_path, service("restart: always"), service("ports:", "  - 8080:80").rstrip("\n"), bindings=(OPEN,))
    (fix,) = remedy.republish(project.facts, project.web, remove=[OPEN])
    assert project.after(fix) == [service("restart: always"), service().rstrip("\n")]


@pytest.mark.parametrize(
    "text",
    [
        service("ports: ['${PORT:-127.0.0.1:8080}:80']"),
        service("ports: ['127.0.0.1:8000-8100:80']"),
        "x-ports: &p ['127.0.0.1:8080:80']\n" + service("ports: *p"),
        service("extends: {file: base.yaml, service: web}"),
        "services: {web: {ports: ['127.0.0.1:8080:80'], environment: {PASSWORD: hush}}}\n",
        "services:\n  other:\n    ports: ['127.0.0.1:8080:80']\n",
        "services: [\n",
    ],
)
def test_what_is_not_plain_is_shown_and_not_done(text: str, tmp_path: Path) -> None:
    project = Project(tmp_path, text, bindings=(LOOPBACK,))
    (fix,) = remedy.republish(project.facts, project.web, add=[OPEN], remove=[LOOPBACK])
    assert (fix.runnable, len(fix.commands)) == (False, 1)
    assert '+      - "8080:80"' in fix.edits[0].diff


@pytest.mark.parametrize(
    ("environment", "after"),
    [
        (["DATABASE_URL: postgres://localhost:hush@localhost:5432/x"], ["DATABASE_URL: postgres://localhost:hush@db:5432/x"]),
        (
            ["- A=hush", '- "DATABASE_URL=postgres://localhost:5432/x?a&b=|"'],
            ["- A=hush", '- "DATABASE_URL=postgres://db:5432/x?a&b=|"'],
        ),
    ],
)
def test_a_setting_points_elsewhere_and_its_secrets_stay_its_own(
    environment: list[str], after: list[str], tmp_path: Path
) -> None:
    project = Project(tmp_path, service("environment:", *(f"  {line}" for line in environment)))
    reference = Reference(where="environment", key="DATABASE_URL", host="localhost", port=5432, scheme="postgres")
    fix = remedy.point_at(project.facts, project.web, reference, "db", networks=["lan"])
    assert "hush" not in str(fix)
    (text,) = project.after(fix)
    assert [line.strip() for line in text.splitlines() if "DATABASE_URL" in line or "A=" in line] == after
    assert text.endswith("networks:\n  lan:\n    external: true\n")
    assert "    networks:\n      - default\n      - lan\n" in text
    multi = Project(tmp_path, service("environment:", "  DATABASE_URL: >-", "    postgres://localhost:5432/x"))
    assert not remedy.point_at(multi.facts, multi.web, reference, "db").runnable


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            service("networks: [back]"),
            service("networks:", "  back: {}", '  lan: {aliases: ["web"]}') + "networks:\n  lan:\n    external: true\n",
        ),
        (
            service("networks:", "  back:", "    aliases: [w]") + "networks:\n  back: {}\n  lan: {external: true}\n",
            service("networks:", "  back:", "    aliases: [w]", '  lan: {aliases: ["web"]}')
            + "networks:\n  back: {}\n  lan: {external: true}\n",
        ),
    ],
)
def test_a_network_of_others_with_an_alias(before: str, after: str, tmp_path: Path) -> None:
    project = Project(tmp_path, before, network=BACK)
    _, for_good = remedy.join_network(project.facts, project.web, "lan", aliases=["web"])
    assert project.after(for_good) == [after]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("networks:\n  back:\n    internal: true\n", "networks:\n  back:\n    internal: false\n"),
        ("networks:\n  back:\n  other: {}\n", "networks:\n  back:\n    internal: false\n  other: {}\n"),
        ("networks:\n  back: {}\n", "networks:\n  back:\n    internal: false\n"),
        ("networks:\n  back:\n    name: shop_back\n", "networks:\n  back:\n    name: shop_back\n    internal: false\n"),
        ("", "networks:\n  back:\n    internal: false\n"),
    ],
)
def test_a_network_is_made_otherwise(before: str, after: str, tmp_path: Path) -> None:
    project = Project(tmp_path, service() + before, network=BACK)
    fix = remedy.recreate_network(project.facts, BACK, summary="", internal=False)
    assert project.after(fix) == [service() + after]


def test_what_the_file_says_already_is_brought_up(tmp_path: Path) -> None:
    project = Project(
        tmp_path, service("networks: [back, lan]") + "networks: {back: {}, lan: {external: true}}\n", network=BACK
    )
    _, for_good = remedy.join_network(project.facts, project.web, "lan")
    assert [command.rpartition(" up ")[2] for command in for_good.commands] == ["-d web"]
