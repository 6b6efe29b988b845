"""Choose device, number format and number of threads; set seeds."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping

import numpy as np
import torch

from apsam.errors import ConfigError
from apsam.gpu_slots import use_one_gpu


def pick_device(name: str = "auto") -> torch.device:
    """Choose the device to compute on; with `auto`, on a machine with several GPUs, claim one (`apsam.gpu_slots`).

    Args:
        name: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        ConfigError: The named device does not exist on this machine.
    """
    if name == "auto":
        use_one_gpu()
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: '{name}' cannot be used here ({str(error).splitlines()[0]}); use 'auto'") from error
    return device


def bf16_pays(device: torch.device) -> bool:
    """Whether `device` computes bfloat16 natively, hence faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    return cpu_has("avx512_bf16") or cpu_has("amx_tile")


def cpu_has(feature: str) -> bool:
    """Whether the CPU has a feature of `torch.cpu.get_capabilities`; False with a torch older than this function."""
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get(feature))


def set_threads(threads: int | None) -> None:
    """Set the number of CPU threads of torch (None: all that the process may use)."""
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, and use deterministic algorithms of torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
