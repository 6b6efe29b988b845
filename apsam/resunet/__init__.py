"""ResUNet: the segmentation network that is trained on pseudo-masks and draws the final maps."""
