"""Trainings of several processes that something else has started: `srun`, `torchrun`, or what sets their variables.

Lightning reads such variables too, but takes every SLURM job for one that it should requeue, and stops where
`--ntasks-per-node` is not given. Here each process only learns its rank; who runs it again is decided outside.
"""

from __future__ import annotations

import os

from apsam import torchvision_ops  # noqa: F401  (before lightning, which imports torchvision)
from apsam.errors import ConfigError

from lightning.fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment  # isort: skip

# The port of a SLURM job on its first node, where MASTER_PORT is not set: the same for all its processes.
FIRST_PORT, PORTS = 15000, 10000


class StartedProcesses(ClusterEnvironment):
    """Rank and meeting place of this process among those started together, one for each device.

    To Lightning every process is a node with one device, so that it need not know how many share a machine.

    Attributes:
        rank, world: Number of this process, and how many there are.
        local: Number of this process on its machine: it takes the GPU of that number, or the only one it sees.
    """

    def __init__(self, rank: int, world: int, local: int, address: str, port: int) -> None:
        super().__init__()
        self.rank, self.world, self.local = rank, world, local
        self._address, self._port = address, port

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning must not start processes of its own."""
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
        """How many processes there are."""
        return self.world

    def set_world_size(self, size: int) -> None:
        """Known already."""

    def global_rank(self) -> int:
        """Number of this process."""
        return self.rank

    def set_global_rank(self, rank: int) -> None:
        """Known already."""

    def local_rank(self) -> int:
        """Number of its device among those given to it: it has one."""
        return 0

    def node_rank(self) -> int:
        """Each process counts as a node."""
        return self.rank


def find_processes() -> StartedProcesses | None:
    """The processes this one was started with; None where it is alone.

    Read are the variables of `torchrun` (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT) and those of a SLURM
    job step of several tasks.

    Raises:
        ConfigError: Some of the variables are missing or are no numbers.
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
