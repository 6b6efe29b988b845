"""Synthetic scenes: imagery with landslides whose true outlines are known (issue 2, point 2)."""

from apsam.synthetic.scene import SyntheticScene, make_scene, write_scene
from apsam.synthetic.settings import SyntheticSettings

__all__ = ["SyntheticScene", "SyntheticSettings", "make_scene", "write_scene"]
