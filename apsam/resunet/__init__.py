"""ResUNet: the segmentation network that is trained on pseudo-masks and predicts the maps."""
