import copy

import pytest
import torch
from tiny_sam import tiny_encoder

from apsam.sam import attention
from apsam.sam.attention import FastAttention, use_fast_attention


def relative_error(found, expected):
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


@pytest.fixture(params=["folded", "blocked"])
def kernel(request, monkeypatch):
    monkeypatch.setattr(attention, "products_are_cheap", lambda *_: request.param == "folded")
    return request.param


# Head widths of ViT-B and ViT-L (64) and of ViT-H (80); a grid that the windows divide and one they do not.
CASES = [(64, 128, 5), (64, 128, 4), (80, 128, 5), (80, 96, 14)]


@pytest.mark.parametrize("block", [1, 1 << 16, 1 << 23])
@pytest.mark.parametrize(("head", "image_size", "window"), CASES)
def test_the_same_numbers_in_fp32(head, image_size, window, block, kernel, monkeypatch):
    monkeypatch.setattr(attention, "BLOCK_BYTES", block)
    encoder = tiny_encoder(image_size, head=head, window=window, depth=3)
    image = torch.randn(2, 3, image_size, image_size)
    with torch.no_grad():
        expected = encoder(image)
        assert use_fast_attention(encoder) == 3
        found = encoder(image)
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("head", [64, 80])
def test_relative_positions_matter_in_this_test(head):
    """Without them the parity above would prove nothing."""
    encoder = tiny_encoder(head=head)
    image = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        expected = encoder(image)
        for block in encoder.blocks:
            block.attn.rel_pos_h.zero_()
        assert relative_error(encoder(image), expected) > 1e-3


@pytest.mark.parametrize("head", [64, 80])
def test_no_worse_than_the_original_in_bf16(head, kernel):
    image = torch.randn(4, 3, 128, 128)
    original = tiny_encoder(head=head, depth=4)
    folded = copy.deepcopy(original)
    use_fast_attention(folded)
    with torch.no_grad():
        exact = original.double()(image.double())
        original.float()
        with torch.autocast("cpu", torch.bfloat16):
            theirs, ours = relative_error(original(image), exact), relative_error(folded(image), exact)
    assert ours <= theirs


def test_attention_variant_depends_on_the_machine(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    for amx in (True, False):
        monkeypatch.setattr(attention, "cpu_has", lambda feature, amx=amx: amx and feature == "amx_tile")
        assert attention.products_are_cheap(cpu, torch.bfloat16) == amx
        assert not attention.products_are_cheap(cpu, torch.float32)
        assert attention.products_are_cheap(gpu, torch.float32)


def test_positions_follow_the_weights():
    original, encoder = tiny_encoder(), tiny_encoder()
    image = torch.randn(1, 3, 128, 128)
    use_fast_attention(encoder)
    with torch.no_grad():
        first = encoder(image)
        assert torch.equal(encoder(image), first)
        state = {name: value * 1.5 if "rel_pos" in name else value for name, value in encoder.state_dict().items()}
        for one in (original, encoder):
            one.load_state_dict(state)
        changed = encoder(image)
        assert relative_error(changed, original(image)) < 1e-5 < relative_error(changed, first)
        assert relative_error(encoder.double()(image.double()), original.double()(image.double())) < 1e-12


def test_gradients_are_the_same():
    original = tiny_encoder().double()
    folded = copy.deepcopy(original)
    use_fast_attention(folded)
    image, weight = torch.randn(1, 3, 128, 128).double(), torch.randn(1, 32, 8, 8).double()
    for encoder in (original, folded):
        (encoder(image) * weight).sum().backward()
    expected = dict(original.named_parameters())
    for name, parameter in folded.named_parameters():
        assert relative_error(parameter.grad, expected[name].grad) < 1e-9, name


def test_switching_changes_no_weight():
    encoder = tiny_encoder()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    assert use_fast_attention(encoder) == 2
    assert all(isinstance(block.attn, FastAttention) for block in encoder.blocks)
    assert list(encoder.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_without_relative_positions_too():
    torch.manual_seed(0)
    module = attention.Attention(64, num_heads=2)
    tokens = torch.randn(2, 6, 7, 64)
    with torch.no_grad():
        expected = module(tokens)
        use_fast_attention(module)
        assert relative_error(module(tokens), expected) < 1e-5


def test_folding_uses_the_flash_kernel(monkeypatch):
    """It refuses explicit biases and unequal widths: this is what the folding is for."""
    monkeypatch.setattr(attention, "products_are_cheap", lambda *_: True)
    module = tiny_encoder(head=80).blocks[-1].attn
    use_fast_attention(module)
    with torch.no_grad(), torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        module(torch.randn(1, 8, 8, 160))
    assert any("flash" in event.key for event in profile.key_averages())
