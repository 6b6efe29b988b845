"""Pseudo-masks of tiles: from SAM with prompts (APSAM), from thresholded CAMs, from GrabCut with the same prompts."""
