"""Fast attention at the true sizes of ViT-B, ViT-L and ViT-H: head widths 64 and 80, global grids of 64 x 64 tokens,
windows of 14 x 14. Heads do not know of each other, so two of them stand for 12 and 16. On a CPU, and on a GPU where
there is one.
"""

import numpy as np
import pytest
import torch
from tiny_sam import tiny_encoder, tiny_sam

from apsam.sam import attention
from apsam.sam.attention import Attention, use_fast_attention
from apsam.sam.encode import encode_tiles

HEADS = {"vit_b, vit_l": 64, "vit_h": 80}
GRIDS = {"global": (1, 64), "windows": (25, 14)}
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def block(head: int, side: int) -> Attention:
    torch.manual_seed(0)
    module = Attention(2 * head, num_heads=2, use_rel_pos=True, input_size=(side, side)).eval()
    # As built these are zero; trained ones are not.
    for positions in (module.rel_pos_h, module.rel_pos_w):
        torch.nn.init.normal_(positions, std=0.3)
    return module


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.double().cpu() - expected.cpu()).norm() / expected.cpu().norm()).item()


@torch.no_grad()
def errors(head: int, grid: tuple[int, int], device: str, dtype: torch.dtype) -> tuple[float, float]:
    """Relative errors of the released attention and of the fast one to the released one in float64."""
    module, tokens = block(head, grid[1]), torch.randn(grid[0], grid[1], grid[1], 2 * head)
    exact = module.double()(tokens.double())
    module.float().to(device)
    tokens = tokens.to(device)
    found = []
    for _ in range(2):
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            found.append(relative_error(module(tokens), exact))
        use_fast_attention(module)
    return found[0], found[1]


@pytest.mark.parametrize("kernel", ["folded", "blocked"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_true_sizes(head, grid, kernel, monkeypatch):
    monkeypatch.setattr(attention, "products_are_cheap", lambda *_: kernel == "folded")
    assert errors(head, grid, "cpu", torch.float32)[1] < 1e-5
    theirs, ours = errors(head, grid, "cpu", torch.bfloat16)
    assert ours <= theirs


def test_folded_heads_fit_flash_kernels():
    for head in HEADS.values():
        for _, side in GRIDS.values():
            width = -(-(head + 2 * side) // attention.WIDTH_STEP) * attention.WIDTH_STEP
            assert width <= 256 and width % 8 == 0


@on_gpu
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_true_sizes_on_a_gpu(head, grid):
    assert errors(head, grid, "cuda", torch.float32)[1] < 1e-5
    theirs, ours = errors(head, grid, "cuda", torch.bfloat16)
    assert ours <= theirs


@on_gpu
@torch.no_grad()
def test_attention_matrix_is_never_stored_on_a_gpu():
    module, tokens = block(80, 64).cuda(), torch.randn(1, 64, 64, 160, device="cuda")
    use_fast_attention(module)
    with torch.autocast("cuda", torch.bfloat16):
        module(tokens)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        module(tokens)
    assert torch.cuda.max_memory_allocated() - before < 2 * 2 * 4096**2, "two heads of 4096 x 4096 in bf16"


@on_gpu
def test_embeddings_of_a_gpu_are_those_of_the_cpu():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 64, 64), np.uint8)
    cpu, gpu = tiny_sam(), tiny_sam()
    gpu.model.cuda()
    expected = encode_tiles(cpu, images, precision="fp32", dtype=np.float32)
    found = encode_tiles(gpu, images, batch=2, precision="fp32", dtype=np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@on_gpu
@torch.no_grad()
def test_gradients_on_a_gpu():
    encoder = tiny_encoder().cuda()
    use_fast_attention(encoder)
    with torch.enable_grad():
        encoder(torch.randn(1, 3, 128, 128, device="cuda")).sum().backward()
    assert all(torch.isfinite(block.attn.qkv.weight.grad).all() for block in encoder.blocks)
