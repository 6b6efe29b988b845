"""Metrics of pseudo-masks and maps against reference masks (`held_out`: test data are not used for training)."""
