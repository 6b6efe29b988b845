"""Rasters on a scene's own grid: what image labels say of every pixel, views for SAM, and scene-wide pseudo-masks."""
