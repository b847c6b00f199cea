#!/bin/bash
# The first process of support.machine's machines, in namespaces of its own: makes ROOT the root
# folder, and becomes systemd. Nothing of the outer machine can be written to: its devices are
# bound one by one, and of /proc/sys only what belongs to the network namespace is writable.
#
#     boot.sh ROOT
set -euo pipefail
root=$1

mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --bind proc/sys/net dev # for a moment: proc/sys hides it
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --move dev proc/sys/net
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp

mkdir -p .outer
pivot_root . .outer
umount --lazy /.outer
rmdir /.outer
# As systemd's container interface has it: it leaves the kernel's own settings alone.
exec env -i container=alongside-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --log-target=journal --show-status=no
