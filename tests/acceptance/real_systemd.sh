# Makes a machine of namespaces on top of this one's files, where nothing that is written stays, and lets systemd run it.
# $1: an empty folder. $1/out is seen there as /out; its drive.sh is run as a service, and makes /out/done when it is through.
set -e
mount --make-rprivate /
mkdir "$1/t" && mount -t tmpfs none "$1/t" && mkdir "$1/t/up" "$1/t/work" "$1/t/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/t/up,workdir=$1/t/work" "$1/t/root"
root="$1/t/root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
umount -R "$root/sys/fs/cgroup" || true
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for folder in run tmp dev; do mount -t tmpfs none "$root/$folder"; done
for name in null zero full random urandom tty; do touch "$root/dev/$name" && mount --bind "/dev/$name" "$root/dev/$name"; done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666 none "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
touch "$root/dev/console" && mount --bind "$(tty)" "$root/dev/console"
mkdir -p "$root/out" && mount --bind "$1/out" "$root/out"
units="$root/etc/systemd/system"
rm -rf "$units" && mkdir -p "$units"
for name in sysinit basic multi-user network-online shutdown; do
    printf '[Unit]\nDefaultDependencies=no\n' > "$units/$name.target"
done
cat > "$units/drive.service" <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh /out/drive.sh
ExecStopPost=/bin/touch /out/done
StandardOutput=file:/out/said
StandardError=file:/out/said
UNIT
cd "$root" && mkdir -p run/old && pivot_root . run/old && umount -l /run/old
touch /out/begun
exec env -i container=trimtab PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system \
    "$2" --system --unit=drive.service --log-target=console --show-status=no
