"""Decoys: bare ground in the colours of landslides that is not a landslide."""

from apsam.synthetic.built_decoys import lay_houses, lay_quarries, lay_tracks
from apsam.synthetic.field_decoys import lay_clearings, lay_fields
from apsam.synthetic.natural_decoys import lay_outcrops, lay_river
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import Soils, Surface
from apsam.synthetic.terrain import Terrain


def lay_decoys(name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils) -> None:
    """Draw all decoys; later ones cover earlier ones."""
    lay_river(name, settings, terrain, surface, soils)
    lay_outcrops(name, settings, terrain, surface, soils)
    lay_fields(name, settings, terrain, surface, soils)
    lay_quarries(name, settings, terrain, surface, soils)
    lay_clearings(name, settings, terrain, surface, soils)
    lines = lay_tracks(name, settings, terrain, surface, soils)
    lay_houses(name, settings, terrain, surface, soils, lines)
