"""Trainings of several processes started by `srun`, `torchrun`, or others that set the same variables.

Lightning reads such variables too, but would requeue every SLURM job, and stops if
`--ntasks-per-node` is not set. Here each process only reads its rank; restarting it is left to others.
"""

from __future__ import annotations

import os

from apsam import torchvision_ops  # noqa: F401  (before lightning, which imports torchvision)
from apsam.errors import ConfigError

from lightning.fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment  # isort: skip

# The port of a SLURM job on its first node, where MASTER_PORT is not set: the same for all its processes.
FIRST_PORT, PORTS = 15000, 10000


class StartedProcesses(ClusterEnvironment):
    """Rank and address of this process among those started together, one for each device.

    To Lightning every process is a node with one device, so the number of processes per machine is not needed.

    Attributes:
        rank, world: Rank of this process, and number of processes.
        local: Rank of this process on its machine: it uses the GPU of that number, or the only visible one.
    """

    def __init__(self, rank: int, world: int, local: int, address: str, port: int) -> None:
        super().__init__()
        self.rank, self.world, self.local = rank, world, local
        self._address, self._port = address, port

    @property
    def creates_processes_externally(self) -> bool:
        """Whether others start the processes: always, so Lightning must not start any."""
        return True

    @property
    def main_address(self) -> str:
        """Machine of rank 0."""
        return self._address

    @property
    def main_port(self) -> int:
        """Port on which rank 0 listens."""
        return self._port

    @staticmethod
    def detect() -> bool:
        """Whether this process is one of several."""
        return find_processes() is not None

    def world_size(self) -> int:
        """Number of processes."""
        return self.world

    def set_world_size(self, size: int) -> None:
        """Not supported: fixed at the start."""

    def global_rank(self) -> int:
        """Rank of this process."""
        return self.rank

    def set_global_rank(self, rank: int) -> None:
        """Not supported: fixed at the start."""

    def local_rank(self) -> int:
        """Number of its device among its devices: it has one."""
        return 0

    def node_rank(self) -> int:
        """Each process counts as a node."""
        return self.rank


def find_processes() -> StartedProcesses | None:
    """Return the processes that this one was started with; None if it is alone.

    Read from the variables of `torchrun` (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT) or of a SLURM
    job step of several tasks.

    Raises:
        ConfigError: Some of the variables are missing or are not numbers.
    """
    torchrun = {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys()
    try:
        if torchrun:
            rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
            local = int(os.environ.get("LOCAL_RANK", rank))
            address, port = os.environ["MASTER_ADDR"], int(os.environ.get("MASTER_PORT", FIRST_PORT))
        elif int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:  # set by srun alone
            rank, world = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_STEP_NUM_TASKS"])
            local = int(os.environ["SLURM_LOCALID"])
            nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ["SLURM_JOB_NODELIST"]
            address = os.environ.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes)
            default = FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS
            port = int(os.environ.get("MASTER_PORT", default))
        else:
            return None
    except (KeyError, ValueError) as error:
        kind = "torchrun" if torchrun else "srun"
        raise ConfigError(f"the variables of {kind} in the environment are incomplete: {error}") from error
    return StartedProcesses(rank, world, local, address, port) if world > 1 else None
