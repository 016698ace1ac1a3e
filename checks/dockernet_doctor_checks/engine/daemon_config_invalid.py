"""daemon-config-invalid: daemon.json is not JSON, or says what dockerd refuses; it does not start, or will not again.

Tried on 20.10, 26.1 and 28.5: no JSON, a value of the wrong type, an unknown key, and an option given as a flag too all end
the daemon; a key twice in the file does not.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Affected,
    Case,
    Check,
    DaemonJson,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    daemon,
    daemon_options,
    dockerd,
    file_subject,
    model,
    remedy,
    shell,
)

_REFUSED = r"(?s)unable to configure the Docker daemon with file (\S+): (.*)"
_UNKNOWN = r"don't match any configuration option: (.+)"
# What is refused later, when the networks are made; a value that only collides with this host's networks is not invalid.
_NETWORK = r"(?is)(?:Error initializing network controller: |(?=You specified -b & --bip, mutually exclusive))(.*)"
_INVALID: tuple[tuple[str, str], ...] = (
    (r"invalid pools? size|could not construct local address space", "default-address-pools"),
    (r"IPv6 is enabled for the default bridge, but no subnet", "ipv6"),
    (r"failed to allocate gateway \({value}\)", "bip"),
    (r"invalid CIDR address: {value}", "bip"),
    (r"-b & --bip, mutually exclusive", "bip"),
    (r"DefaultGatewayIPv4:{value}\) must belong to", "default-gateway"),
    (r"DefaultGatewayIPv6:{value}\) must belong to", "default-gateway-v6"),
    (r"invalid CIDR address: {value}", "fixed-cidr"),
    (r"invalid CIDR address: {value}", "fixed-cidr-v6"),
)
_MARK = r"invalid character '[ïÿþ]' looking for beginning of value"


def find(case: Case) -> Iterator[Finding]:
    """Each host whose daemon.json dockerd refuses; of several faults the first that ends the daemon."""
    for facts in case.hosts:
        found = next(_faults(facts), None) or _outside(case, facts)
        if found:
            yield found


def _faults(facts: HostFacts) -> Iterator[Finding]:
    said = daemon.files_say(facts)
    file = next((f for f in facts.snapshot.daemon.files if f.path == said.json_path), None)
    if file is None or not file.readable:
        return
    parsed = said.json or DaemonJson()
    if file.exists and not _taken(facts, file):
        yield from filter(None, (_not_json(facts, file, parsed), _wrong(facts, file, parsed)))
        yield from filter(None, (_unknown(facts, file, parsed), _twice(facts), _empty(facts, file, parsed)))
    yield from filter(None, (_other(facts, file, parsed), _late(facts, file, parsed), _ignored(facts, file, parsed)))


def _taken(facts: HostFacts, file: model.TextFile) -> bool:
    """True if the engine itself shows that it takes the file as it is: it started with it, or its last words are of
    something that comes later."""
    if facts.snapshot.engine is not None:
        state = facts.snapshot.daemon
        return bool(state.started_at and file.modified_at) and not daemon_options.edited_since_start(state, file)
    failure = daemon.last_failure(facts)
    return failure is not None and not re.search(_REFUSED, failure.text)


def _not_json(facts: HostFacts, file: model.TextFile, parsed: DaemonJson) -> Finding | None:
    problem = parsed.problem
    if problem is None:
        return None
    place = f"line {problem.line}, column {problem.column}"
    fixes = []
    if problem.corrected is not None:
        fixes.append(_edit(facts, f"Correct {file.path} at {place}: {problem.message}.", text=problem.corrected))
    else:
        fixes.append(_by_hand(f"Correct {file.path} at {place}: {problem.message}."))
    line = file.text.split("\n")[problem.line - 1] if file.text else ""
    return _finding(
        facts,
        file,
        f"{file.path} is not JSON: {problem.message} ({place})",
        fixes,
        (f"line {problem.line}", line.strip()[:200]),
    )


def _wrong(facts: HostFacts, file: model.TextFile, parsed: DaemonJson) -> Finding | None:
    wrong = daemon_options.wrong_types(parsed)
    if not wrong:
        return None
    first = wrong[0]
    summary = f"{file.path}: {first.key} must be {first.expected}, not {first.found} (line {first.line})"
    changes = {w.key: w.corrected for w in wrong if w.corrected is not None}
    if len(changes) == len(wrong):
        said = daemon.names(f"{key}: {json.dumps(value)}" for key, value in changes.items())
        fix = _edit(facts, f"Write {said}.", changes=changes)
    else:
        fix = _by_hand(f"Give {first.key} {first.expected}.")
    return _finding(facts, file, summary, [fix], (f"line {first.line}", f"{first.key}: {first.found}"))


def _unknown(facts: HostFacts, file: model.TextFile, parsed: DaemonJson) -> Finding | None:
    unknown = [k for k in daemon_options.unknown_keys(parsed) if not k.ignored and not k.nearest.startswith("cluster-")]
    if not unknown:
        return None
    first = unknown[0]
    meant = f"; did you mean {first.nearest}?" if first.nearest else ""
    summary = f"{file.path} has an option that dockerd does not know: {first.key} (line {first.line}{meant})"
    return _finding(facts, file, summary, [_renamed(facts, file, parsed, unknown)], (f"line {first.line}", first.key))


def _ignored(facts: HostFacts, file: model.TextFile, parsed: DaemonJson) -> Finding | None:
    """A flag's name in the place of the key's: no engine complains, and none takes it."""
    ignored = [key for key in daemon_options.unknown_keys(parsed) if key.ignored]
    if not ignored:
        return None
    first = ignored[0]
    return Finding(
        severity="warning",
        confidence="proven",
        subject=file_subject(facts, file.path),
        affects=(Affected(kind="daemon", name=facts.name, host=facts.name),),
        summary=f"{file.path} sets {first.key}, which dockerd silently ignores: the key is {first.nearest}.",
        evidence=(Evidence(fact=f"line {first.line}", value=first.key, source=file.path),),
        fixes=(_renamed(facts, file, parsed, ignored),),
    )


def _renamed(facts: HostFacts, file: model.TextFile, parsed: DaemonJson, unknown: list[daemon_options.UnknownKey]) -> Fix:
    renamed = {key.nearest: _value(parsed, key.key) for key in unknown if key.nearest}
    words = [f"write {key.nearest} for {key.key}" if key.nearest else f"remove {key.key}" for key in unknown]
    summary = f"In {file.path} {daemon.names(words)}."
    return _edit(facts, summary, changes=renamed, remove=[key.key for key in unknown])


def _value(parsed: DaemonJson, name: str) -> object:
    return next(key.value for key in reversed(parsed.keys) if key.name == name)


def _twice(facts: HostFacts) -> Finding | None:
    both = daemon_options.given_twice(facts.snapshot.daemon)
    if not both:
        return None
    said = daemon.files_say(facts)
    file = next(f for f in facts.snapshot.daemon.files if f.path == said.json_path)
    flag, key = both[0]
    summary = f"{key.key} is both a flag ({', '.join(flag.values)}, {flag.where}) and in {key.where} ({', '.join(key.values)})"
    keys = [key.key for _, key in both]
    fixes = [_edit(facts, f"Leave {daemon.names(keys)} to the flag: remove it from {file.path}.", remove=keys)]
    for one in keys:
        fixes.append(dockerd.drop_flag(facts, one, summary=f"Or leave {one} to {file.path}: remove the flag."))
    return _finding(facts, file, summary, fixes, (flag.key, f"flag: {', '.join(flag.values)}; file: {', '.join(key.values)}"))


def _empty(facts: HostFacts, file: model.TextFile, parsed: DaemonJson) -> Finding | None:
    # 20.10 ends with "EOF"; from 23.0 an empty file is a file without options
    if not parsed.empty or _reason(facts) != "EOF":
        return None
    fix = _edit(facts, "Write {} into it.", text="{}\n")
    return _finding(
        facts, file, f"{file.path} is empty, which engines before 23 refuse", [fix], ("size", "nothing but white space")
    )


def _reason(facts: HostFacts) -> str:
    """What a daemon that is down said last of its daemon.json; "" where that was of something else."""
    failure = daemon.last_failure(facts) if daemon.is_down(facts) else None
    match = re.search(_REFUSED, failure.text) if failure else None
    return match[2].strip() if match else ""


def _other(facts: HostFacts, file: model.TextFile, parsed: DaemonJson) -> Finding | None:
    """What only the daemon itself knows to be wrong, such as a value that is no address: as its last words say."""
    reason = _reason(facts)
    if not reason or "cluster-" in reason:
        return None  # those have causes of their own
    if re.search(_MARK, reason):
        reason = "it begins with a byte order mark, which engines before 23 do not read"
        fix = _edit(facts, f"Write {file.path} without it, in UTF-8.", text=file.text.removeprefix("\ufeff"))
    elif match := re.search(_UNKNOWN, reason):
        cluster = {key.key for key in daemon_options.unknown_keys(parsed) if key.nearest.startswith("cluster-")}
        names = [key.name for key in parsed.keys if key.name in match[1].split(", ") and key.name not in cluster]
        if not names:
            return None
        fix = _edit(facts, f"Remove {daemon.names(names)}, which this engine does not know.", remove=names)
    elif not file.exists:
        fix = _no_file(facts, file.path, reason)
    else:
        fix = _without_it(facts, file, parsed, reason)
    return _finding(facts, file, f"dockerd refuses {file.path}: {reason}", [fix], None)


def _late(facts: HostFacts, file: model.TextFile, parsed: DaemonJson) -> Finding | None:
    """An option of the default bridge or of the address pools that stops the daemon when it makes its networks."""
    failure = daemon.last_failure(facts) if daemon.is_down(facts) else None
    match = re.search(_NETWORK, failure.text) if failure else None
    if match is None:
        return None
    for pattern, name in _INVALID:
        option = daemon.files_say(facts).get(name)
        if option is None or not option.where.startswith(f"{file.path}:"):
            continue
        if re.search(pattern.format(value=re.escape(option.value.partition("/")[0])), match[1]):
            line = option.where.rpartition(":")[2]
            fix = _valid(facts, file, parsed, name, option.value)
            shown = (f"line {line}", f"{name}: {option.value}")
            return _finding(facts, file, f"dockerd refuses {name} of {file.path}: {match[1].strip()}", [fix], shown)
    return None


def _outside(case: Case, facts: HostFacts) -> Finding | None:
    """A fixed-cidr outside of bip: 28 starts with it, and no container on the default bridge does."""
    said = daemon.files_say(facts)
    part, whole = said.get("fixed-cidr"), said.get("bip")
    lost = [c for c in facts.containers if not c.state.running and _NOT_INSIDE in c.state.error]
    if part is None or whole is None or not lost or not part.where.startswith(f"{said.json_path}:"):
        return None
    fix = _edit(facts, f"Remove fixed-cidr from {said.json_path}, or move it inside bip, {whole.value}.", remove=["fixed-cidr"])
    start = shell.command("docker", "start", *shell.operands(*(c.name for c in lost)))
    return Finding(
        severity="error",
        confidence="proven",
        subject=file_subject(facts, said.json_path),
        affects=tuple(dict.fromkeys(a for c in lost for a in affected(facts, c))),
        summary=f"fixed-cidr of {said.json_path} ({part.value}) is not inside bip ({whole.value}): no container on the default "
        "bridge starts.",
        evidence=tuple(Evidence(fact="State.Error", value=c.state.error, source=f"inspection of {c.name}") for c in lost[:3]),
        fixes=(fix.followed_by(start),),
        hop="target",
        explains=tuple(p for p in case.paths if p.host == facts.name and (p.target in lost or p.source in lost)),
    )


_NOT_INSIDE = "is not in subnet"


def _valid(facts: HostFacts, file: model.TextFile, parsed: DaemonJson, name: str, value: str) -> Fix:
    """The option as it was meant where that can be told, else without it."""
    if name in ("ipv6", "fixed-cidr-v6"):
        return _edit(facts, f"Give the default bridge an IPv6 subnet: {_SUBNET6}.", changes={"fixed-cidr-v6": _SUBNET6})
    bridge_option = next((key.value for key in parsed.keys if key.name == "bridge"), None)
    if name == "bip" and bridge_option and facts.link(str(bridge_option)) is None:
        name = "bridge"  # not there: only Docker's own bridge is made by the daemon
    elif name == "bip" and not bridge_option and "/" in value:
        with contextlib.suppress(ValueError):
            net = ipaddress.ip_network(value)  # the network's address in the place of the bridge's
            bridge = f"{net[1]}/{net.prefixlen}"
            return _edit(facts, f"Give the bridge an address of {value}: {bridge}.", changes={"bip": bridge})
    if name == "default-address-pools" and isinstance(pools := _value(parsed, name), list):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            nets = [ipaddress.ip_network(pool["base"], strict=False) for pool in pools]
            sizes = [p["size"] if p["size"] >= net.prefixlen else _usual(net) for net, p in zip(nets, pools, strict=True)]
            kept = [{"base": str(net), "size": size} for net, size in zip(nets, sizes, strict=True)]
            return _edit(facts, f"Let each pool be cut into subnets no larger than itself: {kept}.", changes={name: kept})
    return _edit(facts, f"Remove {name} from {file.path}, or correct it there.", remove=[name])


def _usual(net: ipaddress.IPv4Network | ipaddress.IPv6Network) -> int:
    return max(net.prefixlen, 24 if net.version == 4 else 64)


_SUBNET6 = "fd00:d0c::/64"


def _without_it(facts: HostFacts, file: model.TextFile, parsed: DaemonJson, reason: str) -> Fix:
    """Take out the entry of a list, or the option, that the daemon's words name."""
    option = daemon.named_option(facts, reason)
    if option is None or not option.where.startswith(f"{file.path}:"):
        return _by_hand(f"Correct that value in {file.path}.")
    if option.key == "fixed-cidr-v6" and any(key.name == "ipv6" and key.value is True for key in parsed.keys):
        return _valid(facts, file, parsed, option.key, option.value)  # without one, engines before 27 do not start
    value = _value(parsed, option.key)
    wrong = [entry for entry in value if isinstance(entry, str) and entry in reason] if isinstance(value, list) else []
    if wrong and isinstance(value, list) and len(wrong) < len(value):
        kept = [entry for entry in value if entry not in wrong]
        return _edit(facts, f"Remove {daemon.names(wrong)} from {option.key}.", changes={option.key: kept})
    return _edit(facts, f"Remove {option.key} from {file.path}, or correct it there.", remove=[option.key])


def _no_file(facts: HostFacts, path: str, reason: str) -> Fix:
    """A directory (a bind mount makes one), a link to itself, or nothing at all where --config-file points."""
    if reason.endswith("no such file or directory"):
        summary = f"Remove --config-file: there is no {path}."
        return dockerd.drop_flag(facts, "config-file", summary=summary)
    restart = remedy.restart_daemon(facts)
    return Fix(
        summary=f"Put {path} aside, which is no file, and start the daemon.",
        commands=(shell.command("mv", shell.changeable(path), shell.changeable(f"{path}.before")), *restart.commands),
        impacts=("edits-file", *restart.impacts),
    )


def _finding(facts: HostFacts, file: model.TextFile, summary: str, fixes: list[Fix], shown: tuple[str, str] | None) -> Finding:
    down = daemon.is_down(facts)
    ending = "the daemon does not start" if down else "the daemon will not start again"
    return Finding(
        severity="error" if down else "warning",
        confidence="proven",
        subject=file_subject(facts, file.path),
        affects=(Affected(kind="daemon", name=facts.name, host=facts.name),),
        summary=f"{summary}; {ending}.",
        evidence=(
            *((Evidence(fact=shown[0], value=shown[1], source=file.path),) if shown else ()),
            *daemon.log_evidence(facts, daemon.last_failure(facts) if down else None),
        ),
        fixes=tuple(fixes),
        hop="target",
    )


def _edit(
    facts: HostFacts,
    summary: str,
    *,
    changes: dict[str, object] | None = None,
    remove: list[str] | None = None,
    text: str | None = None,
) -> Fix:
    return remedy.edit_daemon_json(facts, changes, summary=summary, remove=remove or (), text=text)


def _by_hand(summary: str) -> Fix:
    return Fix(summary=summary, impacts=("edits-file",), runnable=False)


check = Check(
    cause="daemon-config-invalid",
    title="The daemon refuses daemon.json",
    subjects=("file",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.network"),
    find=find,
    phrases=(
        "unable to configure the docker daemon with file",
        "the following directives are specified both as a flag and in the configuration file",
        "the following directives don't match any configuration option",
        "json: cannot unmarshal",
        "invalid character … looking for beginning of object key string",
        "invalid character … after object key:value pair",
        "invalid character … after array element",
        "invalid json:",
    ),
)
