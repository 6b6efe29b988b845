"""Features of the CPU."""

from __future__ import annotations

import pytest
import torch

from apsam.device import bf16_pays, cpu_has


@pytest.mark.parametrize(
    ("features", "pays"),
    [
        ({}, False),
        ({"avx2": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_tile": True, "avx512_bf16": False}, True),
    ],
)
def test_bf16_is_used_where_the_cpu_computes_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], pays: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    assert bf16_pays(torch.device("cpu")) == pays


def test_a_torch_that_does_not_tell_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not cpu_has("avx2") and not bf16_pays(torch.device("cpu"))
