"""Which daemon is meant, chosen as the Docker CLI chooses it.

Order (docker/cli `resolveContextName`): --context, --host, DOCKER_HOST, DOCKER_CONTEXT, `currentContext` of
DOCKER_CONFIG/config.json, and last the local socket: /var/run/docker.sock, or a rootless daemon's where that is missing
(with DOCKER_TLS_VERIFY or DOCKER_TLS: tcp://localhost:2376).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from dockernet_doctor.decoding import as_text
from dockernet_doctor.notation import at
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot import trusted, wire
from dockernet_doctor.snapshot.model import Record
from dockernet_doctor.snapshot.programs import ProgramError, find_program, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dockernet_doctor.snapshot.bundle import Bundle

DEFAULT_SOCKET = "/var/run/docker.sock"
_SMALL_FILE = 1 << 20
# $0 is the program's name, "$@" its arguments. The directory goes whatever happens, but only after the program has ended.
_SENT = """
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "the single file is for x86-64 Linux, and this is $(uname -sm)" >&2; exit 126; }
umask 077; d=$(mktemp -d) || exit 126
trap 'rm -rf "$d"' EXIT; trap 'exit 143' HUP INT PIPE TERM
cat > "$d/$0" && chmod 700 "$d/$0" && TMPDIR="$d" "$d/$0" "$@" < /dev/null
""".strip()
_SSH_WORD = regex(r"[\w.:%+\\~][\w.:%+\\~@-]*")


class EndpointError(Exception):
    """The daemon named by an option, the environment or a context cannot be one: the command line is wrong."""


class TlsFiles(Record, frozen=True, kw_only=True):
    authority: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True


class DaemonEndpoint(Record, frozen=True, kw_only=True):
    url: str  # unix:///var/run/docker.sock, tcp://10.0.0.5:2376, ssh://user@host
    chosen_by: str = "default"
    context: str = "default"
    tls: TlsFiles | None = None

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0]

    @property
    def socket_path(self) -> str | None:
        """The file of a UNIX socket, else None."""
        return self.url.removeprefix("unix://") if self.scheme == "unix" else None


def choose(host: str | None = None, context: str | None = None, env: Mapping[str, str] = os.environ) -> DaemonEndpoint:
    """The daemon that `docker --host HOST --context CONTEXT` would ask; EndpointError where it would refuse."""
    if host and context:
        raise EndpointError("conflicting options: --host and --context cannot be given together")
    name, chosen_by = _context_name(host, context, env)
    if name != "default":
        return _of_context(name, chosen_by, env)
    tls = _tls_asked(env)
    asked = host or env.get("DOCKER_HOST") or ("tcp://localhost" if tls else "")  # a socket is not spoken to in TLS
    if asked:
        if chosen_by == "default":
            chosen_by = tls
        try:
            url = normal_url(asked, tls=bool(tls))
        except EndpointError as error:
            raise EndpointError(f"{chosen_by}: {error}") from error
        return DaemonEndpoint(url=url, chosen_by=chosen_by, tls=_tls_of_environment(url, env))
    return DaemonEndpoint(url=f"unix://{local_socket(env)}", chosen_by=chosen_by)


def refused_choice(env: Mapping[str, str] = os.environ) -> DaemonEndpoint:
    """What the environment and the client's configuration say of the daemon, where `choose` refuses it: no URL to dial."""
    name, chosen_by = _context_name(None, None, env)
    said = without_userinfo(env.get("DOCKER_HOST", "")) if chosen_by == "DOCKER_HOST" else f"context {name}"
    chosen_by = _tls_asked(env) if chosen_by == "default" else chosen_by
    return DaemonEndpoint(url=as_text(said), chosen_by=chosen_by, context=as_text(name))


def collect_over_ssh(url: str, timeout: float, *, probes: bool = True, send: str = "") -> Bundle:
    """The bundle that `dockernet-doctor collect -` writes on the host of an ssh:// URL, over the user's own ssh.

    `timeout` is in seconds, for all of it; without `probes` nothing is sent from there. With `send`, the path of the
    single file, that is run there: from a new directory, which is removed. EndpointError where ssh, the tool
    over there, or its answer fails; BundleError where that answer is no bundle.
    """
    from dockernet_doctor.snapshot import bundle

    # The other side gets less time, so that what it knows by then comes over.
    command = ssh_command(url, timeout * 0.8, probes=probes, send=bool(send))
    program = find_program(command[0])
    if not program:
        raise EndpointError(f"{url}: the program {command[0]} is not installed")
    try:
        with open(send or os.devnull, "rb") as fed:  # noqa: PTH123
            end = time.monotonic() + timeout
            printed = run([program, *command[1:]], end, limit=bundle.COMPRESSED_LIMIT, fed=fed.fileno())
    except OSError as error:
        raise EndpointError(f"{send}: {error.strerror or error}") from error
    except ProgramError as error:
        raise EndpointError(f"{url}: ssh failed: {error}") from error
    if printed.status == 127:
        raise EndpointError(
            f"{url}: dockernet-doctor is not installed there, or not on the PATH of a plain ssh command; the single file's "
            "`collect --send` goes there by itself for one run"
        )
    # Status 1 and 3 still come with a bundle: of a host whose daemon is down, for one.
    if not printed.output:
        raise EndpointError(f"{url}: {printed.complaints[-1][:300]}")
    # What a login script prints comes before it.
    return bundle.loads(printed.output[max(0, printed.output.find(bundle.MAGIC)) :], url)


def ssh_command(url: str, timeout: float, *, probes: bool = True, send: bool = False) -> list[str]:
    """The command line for `ssh://[USER@]HOST[:PORT][/SOCKET]`; EndpointError where the URL is something else.

    With `send` the program comes by standard input.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EndpointError(f"{without_userinfo(url)} is not of the form ssh://[USER@]HOST[:PORT]: {error}") from error
    if parts.scheme != "ssh" or not parts.hostname or parts.password or parts.query or parts.fragment:
        raise EndpointError(f"{without_userinfo(url)} is not of the form ssh://[USER@]HOST[:PORT]")
    for word in filter(None, (parts.username, parts.hostname)):
        if not _SSH_WORD.fullmatch(word):
            raise EndpointError(
                f"{without_userinfo(url)}: {word!r} is no name for ssh, whose own configuration may hand it to a shell"
            )
    remote = ["dockernet-doctor", "collect", "-", "--timeout", f"{max(1, int(timeout))}"]
    remote += [] if probes else ["--no-probes"]
    if parts.path.strip("/"):
        remote += ["--host", f"unix://{parts.path}"]
    if send:
        remote = ["sh", "-c", _SENT, *remote]
    options = ["-T", "-o", f"ConnectTimeout={max(1, int(timeout))}"]
    options += ["-l", parts.username] if parts.username else []
    options += ["-p", str(port)] if port else []
    return ["ssh", *options, "--", parts.hostname, shlex.join(remote)]


def normal_url(asked: str, *, tls: bool = False) -> str:
    """A daemon's address as the Docker CLI takes it, in full: `10.0.0.5` → `tcp://10.0.0.5:2375` (2376 with TLS)."""
    asked = asked.strip()
    if not asked.isprintable():
        raise EndpointError(f"{asked!r} is no address")
    scheme, separator, rest = asked.partition("://")
    if not separator and asked.startswith(("unix:", "tcp:", "ssh:")):
        raise EndpointError(f"{asked}: two slashes follow the colon, unix:///var/run/docker.sock")
    if not separator:
        scheme, rest = "tcp", asked
    scheme = {"http": "tcp", "https": "tcp"}.get(scheme, scheme)
    if scheme == "unix":
        path = rest or DEFAULT_SOCKET
        if not path.startswith("/"):
            raise EndpointError(f"{asked}: the path of a UNIX socket begins with /")
        return f"unix://{path}"
    if scheme == "ssh":
        if not rest:
            raise EndpointError(f"{asked} names no host: ssh://USER@HOST")
        return f"ssh://{rest}"
    if scheme != "tcp":
        raise EndpointError(f"{asked}: Docker's addresses begin with unix://, tcp:// or ssh://")
    return _tcp_url(asked, rest.rstrip("/"), 2376 if tls else 2375)


def local_socket(env: Mapping[str, str] = os.environ) -> str:
    """The socket that a plain `docker` uses here: the system's, or a rootless daemon's where that one is missing."""
    rootless = Path(env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "docker.sock"
    with contextlib.suppress(OSError):
        if not Path(DEFAULT_SOCKET).exists() and rootless.exists():
            return as_text(str(rootless))
    return DEFAULT_SOCKET


# --- how the choice is made -----------------------------------------------------------------------------------------


def _context_name(host: str | None, context: str | None, env: Mapping[str, str]) -> tuple[str, str]:
    if context:
        return context, "--context"
    if host:
        return "default", "--host"
    if env.get("DOCKER_HOST"):
        return "default", "DOCKER_HOST"
    if env.get("DOCKER_CONTEXT"):
        return env["DOCKER_CONTEXT"], "DOCKER_CONTEXT"
    config = _read(_config_directory(env) / "config.json")
    if config:
        try:
            current = wire.decoder(wire.ClientConfig).decode(config).currentContext
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            current = ""  # docker warns of such a file and goes on as if it were not there
        if current and current != "default":
            return current, "current context"
    return "default", "default"


def _of_context(name: str, chosen_by: str, env: Mapping[str, str]) -> DaemonEndpoint:
    url = dict(contexts(env)).get(name)
    if url is None:
        known = ", ".join(found for found, _ in contexts(env)) or "none but default"
        raise EndpointError(f"context {name!r} (from {chosen_by}) does not exist; there is: {known}")
    import hashlib  # loads OpenSSL, and few use contexts

    directory = _config_directory(env) / "contexts" / "tls" / hashlib.sha256(name.encode()).hexdigest() / "docker"
    files = _tls_files(directory, verify=True) if directory.is_dir() else None
    return DaemonEndpoint(url=normal_url(url, tls=files is not None), chosen_by=chosen_by, context=name, tls=files)


def contexts(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """(name, endpoint) of every context that is stored for this user; broken ones are left out, as docker does."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted((_config_directory(env) / "contexts" / "meta").glob("*/meta.json")):
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                meta = wire.decoder(wire.ContextMeta).decode(_read(path))
                if meta.Name and "docker" in meta.Endpoints and meta.Endpoints["docker"].Host.isprintable():
                    found.append((meta.Name, meta.Endpoints["docker"].Host))
    return sorted(found)


def _config_directory(env: Mapping[str, str]) -> Path:
    return Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or "/root") / ".docker")


def _tls_asked(env: Mapping[str, str]) -> str:
    """The variable that asks for TLS."""
    return next((name for name in ("DOCKER_TLS_VERIFY", "DOCKER_TLS") if env.get(name)), "")


def _tls_of_environment(url: str, env: Mapping[str, str]) -> TlsFiles | None:
    """The files with which the environment asks for TLS; docker refuses to go without ca.pem, also to a UNIX socket."""
    asked = _tls_asked(env)
    if not asked:
        return None
    directory = Path(env.get("DOCKER_CERT_PATH") or _config_directory(env))
    files = _tls_files(directory, verify=asked == "DOCKER_TLS_VERIFY")
    if not files.authority:
        raise EndpointError(f"{asked} is set, and there is no {as_text(str(directory / 'ca.pem'))}")
    return files if url.startswith("tcp://") else None


def _tls_files(directory: Path, *, verify: bool) -> TlsFiles:
    def path(name: str) -> str:
        return str(directory / name) if (directory / name).is_file() else ""

    return TlsFiles(authority=path("ca.pem"), certificate=path("cert.pem"), key=path("key.pem"), verify=verify)


def _tcp_url(asked: str, rest: str, default_port: int) -> str:
    try:
        parts = urlsplit(f"tcp://{rest}")
        port = parts.port or default_port
    except ValueError as error:
        raise EndpointError(f"{asked} is not HOST:PORT") from error
    host = parts.hostname or ("127.0.0.1" if rest.startswith(":") else "")
    if not host or any(character.isspace() or character in "/\\" for character in host):
        raise EndpointError(f"{asked} is not HOST:PORT")
    return f"tcp://{at(host, port)}"


def without_userinfo(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    userinfo, at, host = rest.rpartition("@")
    if not separator or not at:
        return url
    user, colon, _ = userinfo.partition(":")
    return f"{scheme}://{user}@{host}" if not colon else f"{scheme}://***@{host}"


def _read(path: Path) -> bytes:
    """A file of the client's; nothing where there is none. HOME may be another user's, as under sudo."""
    with contextlib.suppress(OSError):
        return trusted.read(str(path.absolute()), _SMALL_FILE).data
    return b""
