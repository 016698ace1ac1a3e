"""proxy-env-intercepts: HTTP_PROXY without NO_PROXY sends container-to-container requests away."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    container_subject,
    listed,
    model,
    names,
    remedy,
)

PROXY_KEYS = {"http": ("HTTP_PROXY", "ALL_PROXY"), "https": ("HTTPS_PROXY", "ALL_PROXY")}


def find(case: Case) -> Iterator[Finding]:
    """Settings with a neighbour's URL in a container whose proxy variables would take it."""
    for facts, container in case.running():
        proxies = {scheme: _proxy_for(container, scheme) for scheme in PROXY_KEYS}  # once: there may be thousands of settings
        exceptions = [r for r in container.references if r.key.upper() == "NO_PROXY"]
        for reference in container.references if any(proxies.values()) else ():
            proxy = proxies.get(reference.scheme) if _is_dialled(reference) else None
            target = names.meant(facts, reference.host, container) if proxy and not names.is_address(reference.host) else None
            if proxy is None or target is None or target is container or _excepted(exceptions, reference.host):
                continue
            if reference.host.lower() == proxy.host.lower() or _can_pass_on(facts, container, proxy, target):
                continue
            yield _finding(facts, container, reference, proxy)
            break


def _is_dialled(reference: model.Reference) -> bool:
    return reference.where in ("environment", "command") and not reference.key.upper().endswith("_PROXY")


def _proxy_for(container: model.Container, scheme: str) -> model.Reference | None:
    keys = PROXY_KEYS[scheme]
    return next((r for r in container.references if r.where == "environment" and r.key.upper() in keys), None)


def _can_pass_on(facts: HostFacts, container: model.Container, proxy: model.Reference, target: model.Container) -> bool:
    """True if the proxy is a container beside the target, and so knows the name and reaches it."""
    passes = names.meant(facts, proxy.host, container)
    shared = facts.common_networks(passes, target) if passes and passes.state.running else ()
    return any(network.has_dns for network in shared)


def _excepted(exceptions: list[model.Reference], host: str) -> bool:
    """True if NO_PROXY names the host, a suffix of it, or everything."""
    name = host.lower()
    for reference in exceptions:
        pattern = reference.host.lower().lstrip("*").strip(".")
        if reference.host == "*" or name == pattern or (pattern and name.endswith(f".{pattern}")):
            return True
        if _is_network(pattern) and names.is_address(name) and ipaddress.ip_address(name) in ipaddress.ip_network(pattern):
            return True
    return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _finding(facts: HostFacts, container: model.Container, reference: model.Reference, proxy: model.Reference) -> Finding:
    excepted = ", ".join(r.host for r in container.references if r.key.upper() == "NO_PROXY") or "not set"
    return Finding(
        severity="warning",
        confidence="likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(
            f"{container} sends requests for {reference.host} ({reference.key}) to the proxy {proxy.host}: its NO_PROXY "
            f"does not list {reference.host}."
        ),
        evidence=(
            Evidence(fact=proxy.key, value=f"{proxy.host}:{proxy.port}", source=f"environment of {container.name}"),
            Evidence(fact="NO_PROXY", value=excepted, source=f"environment of {container.name}"),
        ),
        fixes=(_fix(facts, container, reference.host),),
    )


def _fix(facts: HostFacts, container: model.Container, host: str) -> Fix:
    """The variables that are there get one more entry; where none is, both spellings that programs look for."""
    there = {r.key for r in container.references if r.key.upper() == "NO_PROXY" and r.where == "environment"}
    words = listed(sorted(there)) or "NO_PROXY and no_proxy"
    summary = f"Add {host} to {words} of {container}, and recreate it."
    if container.compose or container.swarm:
        return Fix(summary=summary, impacts=("recreates-container",), runnable=False)
    return remedy.recreate(
        facts,
        container,
        summary=summary,
        substitutions=[remedy.Substitution(variable=key, pairs=((f"{key}=", f"{key}={host},"),)) for key in sorted(there)],
        variables={} if there else dict.fromkeys(("NO_PROXY", "no_proxy"), f"localhost,127.0.0.1,{host}"),
    )


check = Check(
    cause="proxy-env-intercepts",
    title="HTTP_PROXY takes requests between containers",
    subjects=("container", "service"),
    needs=("engine", "host.network"),
    find=find,
    phrases=("503 service unavailable", "squid", "x-squid-error"),
)
