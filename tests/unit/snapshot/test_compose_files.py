"""What is kept of a compose file, and what is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dockernet_doctor.snapshot.compose_files import masked, read_compose_files
from dockernet_doctor.snapshot.model import Compose, Container, State

SHOP = """\
# API_TOKEN=hush1
x-env: &env {PASSWORD: hush2}
services:
  web: # in front
    image: registry.example/hush3
    command: ["httpd", "--password=hush4"]
    environment:
      <<: *env
      DATABASE_URL: "postgres://me:hush5@db:5432/shop"
      KEY: |
        hush6
        hush7
      EMPTY:
    ports:
    - "8080:80"  # token: hush8
  db:
    environment: [CACHE=redis://:hush9@cache/0, PASSWORD=hush0]
    networks: {back: {aliases: [store]}}
networks:
  back: {driver_opts: {com.docker.network.bridge.enable_icc: "false"}}
"""
KEPT = """\
# API_TOKEN=***
x-env: &env {PASSWORD: "***"}
services:
  web: # in front
    image: "***"
    command: ["***", "***"]
    environment:
      <<: *env
      DATABASE_URL: "*** @db:5432"
      KEY: "***"


      EMPTY:
    ports:
    - "8080:80"  # token: ***
  db:
    environment: ["CACHE=*** @cache", "PASSWORD=***"]
    networks: {back: {aliases: [store]}}
networks:
  back: {driver_opts: {com.docker.network.bridge.enable_icc: "false"}}
"""


def test_only_what_is_of_the_network_is_kept() -> None:
    assert masked(SHOP) == KEPT
    for ends in ("\r\n", "\n\n"):
        assert masked(SHOP.replace("\n", ends)).count("\n") == SHOP.replace("\n", ends).count("\n")


@pytest.mark.parametrize(
    "text", ["", "- a", "services: [", "word", "a: 1\n---\nb: 2", "a: \x85b", "users: {me: {}}", "[" * 5000]
)
def test_what_is_no_compose_file_is_kept_in_no_part(text: str) -> None:
    assert masked(text) == ""


def test_what_holds_itself_or_is_nested_without_end_is_no_compose_file() -> None:
    assert masked("services: &a {a: *a}") == ""
    assert masked("services: " + "{a: " * 400 + "}" * 400) == ""


names = st.sampled_from(["a", "b_c", "d-e", "environment", "ports", "networks", "command"])
texts = st.text("ab01 #:*&-\"'|>{}[]\n\té", max_size=12)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda value: st.lists(value, max_size=3) | st.dictionaries(names, value, max_size=3),
    max_leaves=4,
)
services = st.dictionaries(names, st.dictionaries(names, values, max_size=3), max_size=3)


@settings(max_examples=40, deadline=None)
@given(services, st.sampled_from([True, False, None]))
def test_a_masked_file_is_of_the_same_build(content: dict[str, Any], flow: bool | None) -> None:
    text = yaml.safe_dump({"services": content}, default_flow_style=flow, sort_keys=False, allow_unicode=True)
    kept = masked(text)
    assume(kept)
    assert kept.count("\n") == text.count("\n")
    again = yaml.safe_load(kept)["services"] or {}
    assert {k: list(v) for k, v in again.items()} == {k: list(v) for k, v in content.items()}
    for name, service in content.items():
        assert again[name].get("ports") == service.get("ports")


def test_labels_lead_to_files_only(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(SHOP)
    (tmp_path / "large.yaml").write_text("services: {web: {}}\n" + "#" * (1 << 18))
    (tmp_path / "bytes.yaml").write_bytes(b"services: {web: \xff}")
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "other.yaml").write_text("services: {other: {}}")
    (tmp_path / "compose.conf").write_text(SHOP)
    named = ("compose.yaml", "large.yaml", "bytes.yaml", "pipe.yaml", "none.yaml", "other.yaml", "compose.conf")
    files = [str(tmp_path / name) for name in named]
    compose = Compose(project="shop", service="web", config_files=(*files, "relative.yaml", "-"))
    state = State(status="running", running=True)
    web = Container(id="1", name="web", state=state, compose=compose)
    found = read_compose_files([web, Container(id="2", name="other", state=state)])
    assert [(file.path, file.kind, file.text) for file in found] == [(files[0], "compose", KEPT)]
