#!/usr/bin/env bash
# Run tests of the Slurm adapter against a newer Slurm: that of a later Debian, installed into a directory of its own.
#   tests/slurm/newer.sh [SUITE [PYTEST-ARGUMENTS…]]     SUITE is a Debian release: trixie (24.11) unless said otherwise
# Needs root, debootstrap, the project's environment in .venv, and DATABASE_URL and REDIS_URL of running servers. The tests
# themselves run inside, with this checkout and its Python mounted; nothing of the machine's own Slurm is used.
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
suite=${1:-trixie}; shift || true
(($#)) || set -- tests/adapters/test_cluster_contract.py tests/adapters/test_cluster_port.py tests/adapters/test_slurm_limits.py tests/adapters/test_portal_walk.py
root=${GONGXIANG_NEWER_SLURM:-/var/cache/gongxiang-slurm}/$suite
if [ ! -x "$root/usr/sbin/slurmrestd" ]; then
  mkdir -p "$root"
  debootstrap --variant=minbase --include=slurm-wlm,slurmrestd,slurmdbd,slurm-wlm-jwt-plugin,mariadb-server,munge \
    "$suite" "$root" http://deb.debian.org/debian
fi
python=$(dirname "$(dirname "$(readlink -f .venv/bin/python)")")
# A mount namespace of its own: whatever happens, the mounts end with it.
exec unshare --mount --propagation private bash -euc '
  root=$1 python=$2 here=$PWD; shift 2
  for place in /proc /sys /dev /tmp "$python" "$here" "$(readlink -f .venv)"; do
    mkdir -p "$root$place"; mount --rbind "$place" "$root$place"
  done
  exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    DATABASE_URL="${DATABASE_URL:?}" REDIS_URL="${REDIS_URL:?}" \
    bash -c "cd \"\$1\" && shift && exec .venv/bin/python -m pytest -n 0 -m slurm \"\$@\"" - "$here" "$@"
' - "$root" "$python" "$@"
