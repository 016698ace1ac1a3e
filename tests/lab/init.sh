# Turns fresh namespaces into a machine of its own; pid 1 there. Run by machine.py:
#   unshare --net --mount --uts --pid --fork --mount-proc --kill-child=KILL bash init.sh HOSTNAME CGROUP TREE[:TREE…]
# Everything it writes is on tmpfs in its own mount namespace, so that nothing is left when the last process ends.
# It ends when standard input does: the write end is held by the lab's owner alone.
set -eu
hostname=$1 cgroup=$2 trees=$3

mount --make-rprivate /
hostname "$hostname"

# The cgroups are saved around a fresh /sys, which shows the links of this network namespace.
mount -t tmpfs tmpfs /run
mkdir /run/cgroup /run/layers
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
umount -l /run/cgroup

# /etc, /usr and /var are the machine's, with what is written to them private, and the engine's programs on top.
for dir in etc usr var; do
  lower=/$dir
  if [ "$dir" != var ]; then
    IFS=:
    for tree in $trees; do [ ! -d "$tree/$dir" ] || lower=${lower%"/$dir"}$tree/$dir:/$dir; done
    unset IFS
  fi
  mkdir -p "/run/layers/$dir/upper" "/run/layers/$dir/work"
  mount -t overlay -o "lowerdir=$lower,upperdir=/run/layers/$dir/upper,workdir=/run/layers/$dir/work" overlay "/$dir"
done
mkdir -p /var/lib/docker /var/log /etc/docker
mount -t tmpfs -o mode=755 tmpfs /var/lib/docker
mount -t tmpfs -o mode=755 tmpfs /var/log
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 700 /run/home
mkdir -p /run/lock

rm -rf /etc/resolv.conf /etc/hosts /etc/hostname /etc/systemd/system/docker* /etc/default/docker /etc/docker/*
echo "$hostname" >/etc/hostname
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 %s\n' "$hostname" >/etc/hosts
: >/etc/resolv.conf

ip link set lo up
for key in all default; do
  echo 0 >/proc/sys/net/ipv4/conf/$key/rp_filter
  echo 0 >/proc/sys/net/ipv6/conf/$key/accept_dad
  echo 0 >/proc/sys/net/ipv6/conf/$key/accept_ra
done

trap : CHLD TERM INT HUP
echo ready
exec >/dev/null 2>&1
while :; do
  # a signal interrupts `read` with a status above 128, the end of the owner with 1
  read -r _ || [ $? -gt 128 ] || exit 0
done
