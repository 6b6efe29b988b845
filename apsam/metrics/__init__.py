"""Metrics of pseudo-masks and maps against reference masks (`held_out`: no training data is measured as test)."""
