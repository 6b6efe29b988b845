"""What a run is given, validated and explained before any work: `check` reads it as the jobs will."""

from apsam.inputs.check import check
from apsam.inputs.report import Report, SceneReport

__all__ = ["Report", "SceneReport", "check"]
