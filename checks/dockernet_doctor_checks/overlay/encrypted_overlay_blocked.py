"""encrypted-overlay-blocked: an encrypted overlay needs ESP (IP protocol 50), which this kernel lacks or a filter drops."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, cluster, daemon, network_subject, remedy, shell

_TEXT = r"Failed Adding [fr]SA|Failed Adding [fr]wd? ?SP|error creating esp|xfrm.*(not implemented|protocol not supported)"


def find(case: Case) -> Iterator[Finding]:
    """Encrypted overlays of a host whose daemon could not set up their IPsec states."""
    for facts in case.hosts:
        encrypted = [network for network in cluster.overlays(facts) if "encrypted" in network.options]
        line = daemon.logged(facts, _TEXT) if encrypted else None
        for network in encrypted if line else ():
            paths = tuple(p for p in cluster.paths_across(case, facts) if p.network is None or p.network.id == network.id)
            yield Finding(
                severity="error",
                confidence="proven",
                subject=network_subject(facts, network),
                summary=f"The network {network.name} is encrypted, but {facts.name} has no ESP: nothing gets to other hosts.",
                evidence=(
                    Evidence(
                        fact="option encrypted", value=network.options["encrypted"] or "set", source=f"network {network.name}"
                    ),
                    *daemon.log_evidence(facts, line),
                ),
                fixes=(
                    Fix(
                        summary="Load ESP, now and at every start, and restart the daemon (IP protocol 50 has to pass too).",
                        commands=(
                            shell.command("modprobe", "esp4"),
                            shell.write("/etc/modules-load.d/docker-overlay.conf", "esp4"),
                            *remedy.restart_daemon(facts).commands,
                        ),
                        impacts=("changes-kernel", "edits-file", *remedy.restart_daemon(facts).impacts),
                    ),
                    Fix(
                        summary=f"Or recreate {network.name} without --opt encrypted.",
                        impacts=("changes-network",),
                        runnable=False,
                    ),
                ),
                hop="link",
                explains=paths,
            )


check = Check(
    cause="encrypted-overlay-blocked",
    title="An encrypted overlay without ESP",
    subjects=("network",),
    needs=("engine", "daemon.process", "log"),
    find=find,
    phrases=("failed adding fsa", "failed adding rsa"),
)
