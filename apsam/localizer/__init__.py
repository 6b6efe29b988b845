"""Localizer: a classifier trained on image-level labels, whose maps locate landslides.

B. Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
"""
