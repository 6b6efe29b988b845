"""Names of the files that are made of a scene's maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProductFiles:
    """The maps of a scene, and where its products go.

    The products name the maps as if these lay in the same folder, as they do in the view of a run and in what
    `apsam predict` makes, so that the folder can be passed on as it is.
    """

    probability: Path
    mask: Path
    geopackage: Path

    @property
    def project(self) -> Path:
        """QGIS project."""
        return self.geopackage.with_suffix(".qgs")

    @property
    def item(self) -> Path:
        """STAC item."""
        return self.geopackage.with_suffix(".stac.json")

    @property
    def picture(self) -> Path:
        """The scene as the QGIS project shows it, which may be passed on without the scene."""
        return self.geopackage.with_name(f"{self.geopackage.stem}_image.tif")

    @property
    def styles(self) -> tuple[Path, Path]:
        """Styles of probability and mask, named as QGIS looks for them."""
        names = (self.probability.with_suffix(".qml").name, self.mask.with_suffix(".qml").name)
        return self.geopackage.with_name(names[0]), self.geopackage.with_name(names[1])
