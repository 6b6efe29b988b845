import numpy as np
import pytest
import torch

from apsam.sam.select import agreement, choose_masks, pick_set


def test_agreement_by_hand():
    mask = np.array([[1.0, 0.5], [0.0, 0.2]])
    cam = np.array([[0.5, 0.5], [0.5, 0.0]])
    # minima 0.5 + 0.5 + 0 + 0, maxima 1 + 0.5 + 0.5 + 0.2
    assert agreement(mask, cam) == pytest.approx(1.0 / 2.2)


def test_agreement_of_bytes_and_of_nothing():
    cam = np.full((2, 4, 4), 255, np.uint8)
    assert agreement(np.ones((2, 4, 4)), cam).tolist() == [1.0, 1.0]
    assert agreement(np.zeros((4, 4)), np.zeros((4, 4), np.uint8)) == 0


def test_agreement_prefers_the_mask_that_follows_the_cam():
    x = np.linspace(-3, 3, 64)
    cam = np.exp(-(x[:, None] ** 2 + x**2) / 2)
    scores = agreement(np.stack([(cam > cut).astype(float) for cut in (0.02, 0.4, 0.9)]), cam)
    assert scores.argmax() == 1


def test_pick_set_weighs_by_sams_own_estimate():
    assert pick_set(np.array([0.5, 0.6]), np.array([0.9, 0.6])) == 0
    assert pick_set(np.array([0.5, 0.5]), np.array([0.9, 0.9])) == 0
    assert pick_set(np.array([0.5, 0.4]), np.array([1.5, 1.7])) == 0


def test_choose_masks():
    masks = torch.arange(6.0).view(2, 3, 1, 1)
    iou = torch.tensor([[0.1, 0.7, 0.3], [0.9, 0.2, 0.3]])
    chosen, quality = choose_masks(masks, iou, "best_iou")
    assert chosen.flatten().tolist() == [1, 3]
    assert quality.flatten().tolist() == pytest.approx([0.7, 0.9])
    assert choose_masks(masks, iou, "index", 2)[0].flatten().tolist() == [2, 5]
    assert choose_masks(masks, iou, "all")[0].shape == (2, 3, 1, 1)
    with pytest.raises(ValueError, match="mask_choice"):
        choose_masks(masks, iou, "first")
