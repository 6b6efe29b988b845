#!/usr/bin/env bash
# Install SLURM and munge from Debian's (or Ubuntu's) packages, for `make test-cluster`. Does nothing where they are there.
# No service is started: the tests bring their own daemons up and down.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"
command -v slurmctld slurmd munged sbatch >/dev/null && exit
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "SLURM is not installed, and installing it needs root and apt-get" >&2
	exit 1
fi
# In run level 1 the packages' scripts start nothing.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
install=(apt-get -qq -o DPkg::Lock::Timeout=120 install --no-install-recommends -y munge slurmctld slurmd slurm-client)
"${install[@]}" >/dev/null 2>&1 || { apt-get -qq update && "${install[@]}" >/dev/null; }
