"""The Docker API's answers, narrowed to the fields that are needed: what has no field here is skipped, never decoded.

Field names are Docker's own. Everything may be null: Go prints an empty slice or map that way. Of lists each item is decoded
by itself, so that one of another shape costs no other.
"""

# No annotations from __future__: as texts, msgspec would have to compile each of them, in three times the time.
import threading
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from dockernet_doctor.snapshot.model import Port, PrefixLength

T = TypeVar("T")

Identifier = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")]
"""It becomes part of a request's path."""
ProcessId = Annotated[int, Meta(ge=0, lt=1 << 31)]

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_building = threading.Lock()


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder of a type, made once. msgspec must not build types in two threads at a time: it crashes."""
    found = _decoders.get(kind)
    if found is None:
        with _building:
            found = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return found


def own_name(names: Iterable[str]) -> str:
    """A container's own name among `Names` of the list, where links to it appear as "/other/alias"."""
    return next((name[1:] for name in names if name.startswith("/") and "/" not in name[1:]), "")


# --- the client's files ---------------------------------------------------------------------------------------------


class ClientConfig(Struct):
    currentContext: str = ""  # noqa: N815


class ContextEndpoint(Struct):
    Host: str = ""


class ContextMeta(Struct):
    Name: str = ""
    Endpoints: dict[str, ContextEndpoint] = {}


# --- /version and /info ---------------------------------------------------------------------------------------------


class Component(Struct):
    Name: str = ""


class Version(Struct):
    Version: str
    ApiVersion: str
    MinAPIVersion: str = ""
    Os: str = ""
    Arch: str = ""
    KernelVersion: str = ""
    Components: list[Component] | None = None


class Pool(Struct):
    Base: str = ""
    Size: PrefixLength = 0


class Manager(Struct):
    NodeID: str = ""
    Addr: str = ""


class SwarmCluster(Struct):
    DataPathPort: Port = 0


class SwarmInfo(Struct):
    NodeID: str = ""
    NodeAddr: str = ""
    LocalNodeState: str = "inactive"
    ControlAvailable: bool = False
    Error: str = ""
    RemoteManagers: list[Manager] | None = None
    Nodes: int = 0
    Managers: int = 0
    Cluster: SwarmCluster | None = None


class Backend(Struct):
    Driver: str = ""


class Info(Struct):
    ID: str = ""
    Name: str = ""
    OperatingSystem: str = ""
    DockerRootDir: str = ""
    IPv4Forwarding: bool = True
    BridgeNfIptables: bool = True
    BridgeNfIp6tables: bool = True
    ClusterStore: str = ""
    ClusterAdvertise: str = ""
    Swarm: SwarmInfo | None = None
    SecurityOptions: list[str] | None = None
    LiveRestoreEnabled: bool = False
    FirewallBackend: Backend | None = None
    DefaultAddressPools: list[Pool] | None = None
    Warnings: list[str] | None = None
    HttpProxy: str = ""
    HttpsProxy: str = ""
    NoProxy: str = ""
    ContainersRunning: int = 0
    LoggingDriver: str = ""
    DefaultRuntime: str = ""
    CgroupVersion: str = ""


# --- networks -------------------------------------------------------------------------------------------------------


class IpamConfig(Struct):
    Subnet: str = ""
    Gateway: str = ""
    IPRange: str = ""
    AuxiliaryAddresses: dict[str, str] | None = None


class Ipam(Struct):
    Config: list[IpamConfig] | None = None


class NetworkMember(Struct):
    Name: str = ""
    EndpointID: str = ""
    MacAddress: str = ""
    IPv4Address: str = ""
    IPv6Address: str = ""


class Peer(Struct):
    Name: str = ""
    IP: str = ""


class ServiceTask(Struct):
    Name: str = ""
    EndpointID: str = ""
    EndpointIP: str = ""


class NetworkService(Struct):
    Tasks: list[ServiceTask] | None = None


class Network(Struct):
    Id: Identifier
    Name: str
    Driver: str = ""
    Scope: str = "local"
    Created: str = ""
    Internal: bool = False
    EnableIPv4: bool = True
    EnableIPv6: bool = False
    Attachable: bool = False
    Ingress: bool = False
    ConfigOnly: bool = False
    Options: dict[str, str] | None = None
    Labels: dict[str, str] | None = None
    IPAM: Ipam | None = None
    Containers: dict[str, NetworkMember] | None = None
    Peers: list[Peer] | None = None
    Services: dict[str, NetworkService] | None = None


# --- containers -----------------------------------------------------------------------------------------------------


class ListedContainer(Struct):
    Id: Identifier
    Names: list[str] | None = None


class HealthResult(Struct):
    ExitCode: int = 0
    Output: str = ""


class HealthState(Struct):
    Status: str = "none"
    FailingStreak: int = 0
    Log: list[HealthResult] | None = None


class ContainerState(Struct):
    Status: str = ""
    Running: bool = False
    Paused: bool = False
    Restarting: bool = False
    OOMKilled: bool = False
    ExitCode: int = 0
    Error: str = ""
    Pid: ProcessId = 0
    StartedAt: str = ""
    FinishedAt: str = ""
    Health: HealthState | None = None


class HealthTest(Struct):
    Test: list[str] | None = None
    Interval: int = 0  # nanoseconds
    Timeout: int = 0
    StartPeriod: int = 0
    StartInterval: int = 0
    Retries: int = 0


class ContainerConfig(Struct):
    """The settings of a container or an image."""

    Hostname: str = ""
    Domainname: str = ""
    Image: str = ""
    Tty: bool = False
    Env: list[str] | None = None
    Cmd: list[str] | None = None
    Entrypoint: list[str] | None = None
    Labels: dict[str, str] | None = None
    ExposedPorts: dict[str, Raw] | None = None
    Healthcheck: HealthTest | None = None
    User: str = ""
    WorkingDir: str = ""
    OpenStdin: bool = False
    StopSignal: str = ""
    StopTimeout: int | None = None
    MacAddress: str = ""


class Image(Struct):
    Id: str = ""
    RepoTags: list[str] | None = None
    RepoDigests: list[str] | None = None
    Config: ContainerConfig | None = None


class Policy(Struct):
    Name: str = ""
    MaximumRetryCount: int = 0


class HostPort(Struct):
    HostIp: str = ""
    HostPort: str = ""


class HostSettings(Struct):
    NetworkMode: str = "default"
    PortBindings: dict[str, list[HostPort] | None] | None = None
    PublishAllPorts: bool = False
    Links: list[str] | None = None
    Dns: list[str] | None = None
    DnsSearch: list[str] | None = None
    DnsOptions: list[str] | None = None
    ExtraHosts: list[str] | None = None
    RestartPolicy: Policy | None = None
    AutoRemove: bool = False
    Privileged: bool = False
    CapAdd: list[str] | None = None


class Log(Struct):
    Type: str = ""
    Config: dict[str, str] | None = None


class Ulimit(Struct):
    Name: str
    Soft: int
    Hard: int


class Device(Struct):
    PathOnHost: str
    PathInContainer: str = ""
    CgroupPermissions: str = ""


class DeviceRequest(Struct):
    Driver: str = ""
    Count: int = 0
    DeviceIDs: list[str] | None = None
    Capabilities: list[list[str]] | None = None


class DeviceWeight(Struct):
    Path: str
    Weight: int


class DeviceRate(Struct):
    Path: str
    Rate: int


class MountedBind(Struct):
    Propagation: str = ""
    NonRecursive: bool = False
    ReadOnlyNonRecursive: bool = False
    ReadOnlyForceRecursive: bool = False


class MountedVolume(Struct):
    NoCopy: bool = False
    Subpath: str = ""


class MountedTmpfs(Struct):
    SizeBytes: int = 0
    Mode: int = 0


class MountSpec(Struct):
    Type: str
    Target: str
    Source: str = ""
    ReadOnly: bool = False
    Consistency: str = ""
    BindOptions: MountedBind | None = None
    VolumeOptions: MountedVolume | None = None
    TmpfsOptions: MountedTmpfs | None = None


class HostOptions(Struct):
    """The rest of HostConfig, which only a container that takes the place of this one must have."""

    Binds: list[str] | None = None
    Mounts: list[MountSpec] | None = None
    Tmpfs: dict[str, str] | None = None
    VolumesFrom: list[str] | None = None
    VolumeDriver: str = ""
    RestartPolicy: Policy | None = None
    AutoRemove: bool = False
    LogConfig: Log | None = None
    Privileged: bool = False
    MaskedPaths: list[str] | None = None
    CapAdd: list[str] | None = None
    CapDrop: list[str] | None = None
    SecurityOpt: list[str] | None = None
    GroupAdd: list[str] | None = None
    IpcMode: str = ""
    PidMode: str = ""
    UTSMode: str = ""
    UsernsMode: str = ""
    CgroupnsMode: str = ""
    CgroupParent: str = ""
    Runtime: str = ""
    Init: bool | None = None
    ReadonlyRootfs: bool = False
    Sysctls: dict[str, str] | None = None
    StorageOpt: dict[str, str] | None = None
    Annotations: dict[str, str] | None = None
    Memory: int = 0
    MemorySwap: int = 0
    MemoryReservation: int = 0
    MemorySwappiness: int | None = None
    ShmSize: int = 0
    NanoCpus: int = 0
    CpuShares: int = 0
    CpuPeriod: int = 0
    CpuQuota: int = 0
    CpuRealtimePeriod: int = 0
    CpuRealtimeRuntime: int = 0
    CpusetCpus: str = ""
    CpusetMems: str = ""
    BlkioWeight: int = 0
    OomScoreAdj: int = 0
    OomKillDisable: bool | None = None
    PidsLimit: int | None = None
    Ulimits: list[Ulimit] | None = None
    Devices: list[Device] | None = None
    DeviceCgroupRules: list[str] | None = None
    DeviceRequests: list[DeviceRequest] | None = None
    BlkioWeightDevice: list[DeviceWeight] | None = None
    BlkioDeviceReadBps: list[DeviceRate] | None = None
    BlkioDeviceWriteBps: list[DeviceRate] | None = None
    BlkioDeviceReadIOps: list[DeviceRate] | None = None
    BlkioDeviceWriteIOps: list[DeviceRate] | None = None


class EndpointIpam(Struct):
    IPv4Address: str = ""
    IPv6Address: str = ""
    LinkLocalIPs: list[str] | None = None


class Endpoint(Struct):
    IPAMConfig: EndpointIpam | None = None
    Links: list[str] | None = None
    Aliases: list[str] | None = None
    DNSNames: list[str] | None = None
    NetworkID: str = ""
    EndpointID: str = ""
    Gateway: str = ""
    IPAddress: str = ""
    IPPrefixLen: PrefixLength = 0
    IPv6Gateway: str = ""
    GlobalIPv6Address: str = ""
    GlobalIPv6PrefixLen: PrefixLength = 0
    MacAddress: str = ""
    DriverOpts: dict[str, str] | None = None
    GwPriority: int = 0


class Attachments(Struct):
    Ports: dict[str, list[HostPort] | None] | None = None
    Networks: dict[str, Endpoint] | None = None


class Mount(Struct):
    Type: str = ""
    Name: str = ""
    Source: str = ""
    Destination: str = ""
    RW: bool = True


class Container(Struct):
    Id: Identifier
    Name: str
    State: ContainerState
    Created: str = ""
    Image: str = ""
    RestartCount: int = 0
    Config: ContainerConfig | None = None
    HostConfig: Raw = Raw(b"null")  # HostSettings, and HostOptions
    NetworkSettings: Attachments | None = None
    Mounts: list[Mount] | None = None

    def host(self, kind: type[T]) -> T:
        """HostConfig as one of the two; ValidationError where it is not."""
        return kind() if bytes(self.HostConfig) == b"null" else decoder(kind).decode(self.HostConfig)


# --- Swarm ----------------------------------------------------------------------------------------------------------


class ServicePort(Struct):
    Protocol: str = "tcp"
    TargetPort: Port = 0
    PublishedPort: Port = 0
    PublishMode: str = "ingress"


class VirtualIp(Struct):
    NetworkID: str = ""
    Addr: str = ""


class ServiceEndpointSpec(Struct):
    Mode: str = "vip"


class ServiceEndpoint(Struct):
    Spec: ServiceEndpointSpec | None = None
    Ports: list[ServicePort] | None = None
    VirtualIPs: list[VirtualIp] | None = None


class TaskContainer(Struct):
    Env: list[str] | None = None
    Command: list[str] | None = None
    Args: list[str] | None = None
    Labels: dict[str, str] | None = None
    Healthcheck: HealthTest | None = None


class NetworkTarget(Struct):
    Target: str = ""
    Aliases: list[str] | None = None


class Template(Struct):
    ContainerSpec: TaskContainer | None = None
    Networks: list[NetworkTarget] | None = None


class ServiceSpec(Struct):
    Name: str = ""
    Labels: dict[str, str] | None = None
    Mode: dict[str, Raw] | None = None
    EndpointSpec: ServiceEndpointSpec | None = None
    TaskTemplate: Template | None = None


class ServiceCounts(Struct):
    RunningTasks: int = 0
    DesiredTasks: int = 0


class Service(Struct):
    ID: Identifier
    Spec: ServiceSpec
    Endpoint: ServiceEndpoint | None = None
    ServiceStatus: ServiceCounts | None = None


class TaskStatus(Struct):
    State: str = ""
    Err: str = ""


class Task(Struct):
    ServiceID: str = ""
    NodeID: str = ""
    Slot: int = 0
    CreatedAt: str = ""
    DesiredState: str = ""
    Status: TaskStatus | None = None


class NodeDescription(Struct):
    Hostname: str = ""


class NodeStatus(Struct):
    State: str = ""
    Addr: str = ""


class NodeSpec(Struct):
    Role: str = ""
    Availability: str = "active"


class ManagerState(Struct):
    Leader: bool = False
    Reachability: str = ""
    Addr: str = ""


class Node(Struct):
    ID: Identifier
    Description: NodeDescription | None = None
    Status: NodeStatus | None = None
    Spec: NodeSpec | None = None
    ManagerStatus: ManagerState | None = None
