"""Synthetic scenes: imagery with landslides whose true outlines are known."""
