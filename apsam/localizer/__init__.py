"""Localizer: a classifier trained on image-level labels, whose maps show where landslides lie.

B. Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
"""
