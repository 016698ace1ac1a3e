"""cluster-options-removed: --cluster-store and its like left the engine in 23.0; with them the daemon does not start."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding, Fix, HostFacts, cluster, daemon, daemon_subject, remedy

_TEXT = r"unknown flag: --cluster-(store|advertise)|configuration option: .*\bcluster-(store|advertise)\b"


def find(case: Case) -> Iterator[Finding]:
    """Each host whose files set what its engine no longer knows."""
    for facts in case.hosts:
        keys = cluster.cluster_options(facts)
        refused = daemon.logged(facts, _TEXT) if daemon.is_down(facts) else None
        if not keys or not (refused or facts.generation >= (23, 0)):
            continue
        ending = "the daemon does not start" if refused else "the daemon will not start again"
        said = daemon.files_say(facts)
        yield Finding(
            severity="error" if refused else "warning",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"{facts.name} still sets {daemon.names(keys)}, which engine 23 removed: {ending}.",
            evidence=(
                *(e for key in keys for e in daemon.setting_evidence(said.get(key))),
                *daemon.log_evidence(facts, refused),
            ),
            fixes=(_without(facts, keys), _swarm(facts)),
            hop="target",
        )


def _without(facts: HostFacts, keys: tuple[str, ...]) -> Fix:
    said = daemon.files_say(facts)
    summary = f"Take {daemon.names(keys)} out, and start the daemon."
    in_file = [key for key in keys if (s := said.get(key)) and s.where.startswith(f"{said.json_path}:")]
    if len(in_file) == len(keys):
        return remedy.edit_daemon_json(facts, remove=in_file, summary=summary)
    flags = "|".join(key for key in keys if key not in in_file)
    fix = daemon.edit_flags(
        facts,
        rf"[[:space:]]+--({flags.replace('cluster-store-opts', 'cluster-store-opt')})([= ][^[:space:]\"']*)?",
        "",
        summary=summary,
    )
    if not in_file:
        return fix
    edit = remedy.edit_daemon_json(facts, remove=in_file, summary=summary)
    return Fix(
        summary=summary,
        commands=(*edit.commands[:-1], *fix.commands),
        edits=edit.edits,
        impacts=fix.impacts,
        runnable=fix.runnable and edit.runnable,
    )


def _swarm(facts: HostFacts) -> Fix:
    address = next(iter(facts.uplink_addresses), "")
    advertise = f" --advertise-addr {address}" if address else ""
    return Fix(
        summary="For networks across hosts use Swarm: init it here, join the other hosts, create the overlay --attachable.",
        commands=(f"docker swarm init{advertise}",),
        impacts=("changes-network",),
        runnable=False,
    )


check = Check(
    cause="cluster-options-removed",
    title="Options of the cluster store that this engine no longer knows",
    subjects=("daemon",),
    find=find,
    phrases=(
        "unknown flag: --cluster-store",
        "unknown flag: --cluster-advertise",
        "configuration option: cluster-store",
        "configuration option: cluster-advertise",
    ),
    engines="≥ 23",
    article=(35,),
)
