"""What a run is given, validated and explained before any work: `check` reads it as the jobs will."""

from apsam.inputs.check import check
from apsam.inputs.ground import held_out_images
from apsam.inputs.report import Report, SceneReport

__all__ = ["Report", "SceneReport", "check", "held_out_images"]
