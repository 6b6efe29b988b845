"""Self-training: a ResUNet's maps of the training scenes give the pseudo-masks of a second round."""
