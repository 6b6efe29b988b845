"""Synthetic scenes: imagery of landslides with exact reference masks."""
