"""File names of a scene's products."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProductFiles:
    """The maps of a scene, and the folder of its products.

    The products refer to the maps as files in the same folder, as in the view of a run and in the output of
    `apsam predict`, so that the folder can be copied or shared.
    """

    probability: Path
    mask: Path
    geopackage: Path

    @property
    def project(self) -> Path:
        """Path of the QGIS project."""
        return self.geopackage.with_suffix(".qgs")

    @property
    def item(self) -> Path:
        """Path of the STAC item."""
        return self.geopackage.with_suffix(".stac.json")

    @property
    def picture(self) -> Path:
        """Path of the scene's image for the QGIS project, which can be shared without the scene."""
        return self.geopackage.with_name(f"{self.geopackage.stem}_image.tif")

    @property
    def styles(self) -> tuple[Path, Path]:
        """Paths of the styles of probability and mask, named as QGIS expects them."""
        names = (self.probability.with_suffix(".qml").name, self.mask.with_suffix(".qml").name)
        return self.geopackage.with_name(names[0]), self.geopackage.with_name(names[1])
