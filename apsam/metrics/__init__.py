"""Figures: pseudo-masks and maps counted against the truth (`held_out`: nothing trained on is measured as test)."""
