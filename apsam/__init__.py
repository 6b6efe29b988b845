"""Weakly supervised landslide extraction: image-level labels in, landslide boundaries out.

The method is that of "Auto-Prompting SAM for Weakly Supervised Landslide Extraction" (APSAM): class activation maps of
a localizer become point and box prompts for the Segment Anything Model, its pseudo-masks train a ResUNet.
"""

__version__ = "0.1.0"
