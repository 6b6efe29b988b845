"""A SLURM cluster of one node on loopback, for tests: a real controller, a real node daemon, fake GPUs.

Needs SLURM's and munge's programs (`tests/cluster/install_slurm.sh`), no systemd, and writes to one folder only. Every
process it starts ends with it, by process id; should the test itself be killed, the daemons get a signal from the
kernel. To try a command on it by hand:

    python tests/cluster/slurm_cluster.py snakemake --profile profiles/slurm --dry-run
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "setpriv")

# The node claims more than the machine has, so that the requests of profiles/slurm fit; nothing is bound to a core.
CPUS, MEMORY_MB, GPUS = 32, 128_000, 2

# A `gpu` GRES wants device nodes, one a GPU; these exist everywhere and are never opened.
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")

CONFIGURATION = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_min_interval=0
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
MinJobAge=900
KillWait=3
CompleteWait=0
JobRequeue=0
EnforcePartLimits=ALL
NodeName=lab NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:fake:{gpus} State=UNKNOWN
PartitionName=cpu Nodes=lab Default=YES MaxTime=2880 DefMemPerCPU=200 State=UP
PartitionName=gpu Nodes=lab Default=NO MaxTime=2880 DefMemPerCPU=200 State=UP
"""


def missing_programs() -> list[str]:
    """Programs that the cluster needs and this machine lacks."""
    return [name for name in PROGRAMS if _program(name) is None]


class SlurmCluster:
    """A running cluster with the partitions `cpu` and `gpu`, as a context.

    Args:
        folder: Where everything lies; made, and left for its logs to be read.

    Attributes:
        environment: For the programs that are to use it (`SLURM_CONF`, `PATH`).

    Raises:
        RuntimeError: A daemon does not come up; the message ends with the logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._daemons: list[subprocess.Popen] = []
        self._configuration = self.folder / "slurm.conf"
        # slurmctld listens where its own host name points; if that is not loopback, the daemons get a name that does.
        self._renamed = not _resolves_to_loopback(socket.gethostname())
        if self._renamed and os.geteuid():
            raise RuntimeError(f"{socket.gethostname()} does not resolve to 127.*, which only root can work around")
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(self._configuration),
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"]),
        }

    def __enter__(self) -> SlurmCluster:
        if threading.current_thread() is threading.main_thread():
            # When asked to end, this process must first stop the cluster.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *command: str, timeout: float = 60, check: bool = True) -> str:
        """Run a program in the cluster's environment; return its output."""
        done = subprocess.run(
            command,
            env=self.environment,
            timeout=timeout,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Return the controller's record of every job, also of finished ones: field -> value, as in `scontrol`."""
        lines = self.run("scontrol", "--details", "--oneliner", "show", "job").splitlines()
        return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if line.startswith("JobId=")]

    def stop(self) -> None:
        """Cancel the jobs, and end the daemons in order of their dependencies, and remaining processes of the jobs."""
        if self._alive("slurmctld"):
            self.run("scancel", "--user", str(os.geteuid()), check=False)
            _wait(lambda: not self.run("squeue", "--noheader", check=False).strip(), seconds=10)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()
        # Steps fork: what is found at first may have left children by the time it is gone.
        while processes := self.processes():
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.1)

    def processes(self) -> list[int]:
        """Ids of the processes of this cluster: the daemons, the jobs' steps and what these run."""
        others = (int(folder.name) for folder in Path("/proc").glob("[0-9]*") if int(folder.name) != os.getpid())
        return [process for process in others if self._owns(process)]

    def _owns(self, process: int) -> bool:
        # Daemons and jobs carry the cluster's SLURM_CONF; a step's daemon overwrites it, but keeps a log open.
        folder = Path("/proc", str(process))
        try:
            if f"SLURM_CONF={self._configuration}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                return True
            return any(os.readlink(file).startswith(f"{self.folder}/") for file in (folder / "fd").iterdir())
        except OSError:  # gone, or another user's
            return False

    def _start(self) -> None:
        for name in ("bin", "log", "munge", "spool", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._write_wrappers()
        munge = self.folder / "munge"
        for folder in (self.folder, munge):
            folder.chmod(0o711)
        key = munge / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = {"key-file": key, "socket": munge / "socket", "pid-file": munge / "pid", "seed-file": munge / "seed"}
        options = [f"--{name}={path}" for name, path in files.items()]
        log = f"--log-file={self.folder}/log/munged.log"
        self._launch("munged", "--foreground", "--force", "--num-threads=2", *options, log)
        self._wait_until("munged answers", lambda: (munge / "socket").exists())
        self._write_configuration()
        self._launch("slurmctld", "-D", "-f", str(self._configuration))
        self._wait_until("slurmctld answers", lambda: "is UP" in self.run("scontrol", "ping", check=False))
        self._launch("slurmd", "-D", "-N", "lab", "-f", str(self._configuration))
        self._wait_until("the node is idle", lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", check=False))

    def _write_wrappers(self) -> None:
        # The executor's jobstep drops SLURM_CONF before it calls srun; PATH survives, so the programs bring it along.
        for name in ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct"):
            if program := _program(name):
                wrapper = self.folder / "bin" / name
                wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self._configuration} exec {program} "$@"\n')
                wrapper.chmod(0o755)

    def _write_configuration(self) -> None:
        ports = _free_ports(2)
        host = "localhost" if self._renamed else socket.gethostname().split(".")[0]
        self._configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder,
                host=host,
                user=self.run("id", "-un").strip(),
                controller_port=ports[0],
                node_port=ports[1],
                cpus=CPUS,
                memory=MEMORY_MB,
                gpus=GPUS,
            )
        )
        lines = [f"NodeName=lab Name=gpu Type=fake File={device}\n" for device in DEVICES[:GPUS]]
        (self.folder / "gres.conf").write_text("".join(lines))

    def _launch(self, name: str, *arguments: str) -> None:
        command = ["setpriv", "--pdeathsig", "TERM", _program(name), *arguments]
        if self._renamed:
            command = ["unshare", "--uts", "sh", "-c", 'hostname localhost; exec "$@"', "sh", *command]
        with (self.folder / "log" / f"{name}.out").open("wb") as out:
            daemon = subprocess.Popen(
                command,
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        daemon.name = name
        self._daemons.append(daemon)

    def _alive(self, name: str) -> bool:
        return any(daemon.name == name and daemon.poll() is None for daemon in self._daemons)

    def _any_ended(self) -> bool:
        return any(daemon.poll() is not None for daemon in self._daemons)

    def _wait_until(self, what: str, true: Callable[[], bool]) -> None:
        if not _wait(lambda: true() or self._any_ended(), seconds=20) or self._any_ended():
            logs = [f"--- {file.name}\n{file.read_text()[-2000:]}" for file in (self.folder / "log").iterdir()]
            raise RuntimeError(f"waited in vain until {what}\n" + "\n".join(logs))


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))


def _resolves_to_loopback(host: str) -> bool:
    try:
        return socket.gethostbyname(host.split(".")[0]).startswith("127.")
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def main(command: list[str]) -> int:
    """Run a command on a temporary cluster; return its exit status."""
    if missing := missing_programs():
        print(f"error: no {', '.join(missing)} here; run tests/cluster/install_slurm.sh", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, SlurmCluster(Path(folder)) as cluster:
        return subprocess.run(command, env=cluster.environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
