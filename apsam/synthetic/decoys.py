"""What misleads: bare ground in the landslides' own colours that no landslide has laid open."""

from apsam.synthetic.built_decoys import lay_houses, lay_quarries, lay_tracks
from apsam.synthetic.field_decoys import lay_clearings, lay_fields
from apsam.synthetic.natural_decoys import lay_outcrops, lay_river
from apsam.synthetic.settings import SyntheticSettings
from apsam.synthetic.surface import Soils, Surface
from apsam.synthetic.terrain import Terrain


def lay_decoys(name: str, settings: SyntheticSettings, terrain: Terrain, surface: Surface, soils: Soils) -> None:
    """Lays them all; what comes later covers what came before."""
    lay_river(name, settings, terrain, surface, soils)
    lay_outcrops(name, settings, terrain, surface, soils)
    lay_fields(name, settings, terrain, surface, soils)
    lay_quarries(name, settings, terrain, surface, soils)
    lay_clearings(name, settings, terrain, surface, soils)
    lines = lay_tracks(name, settings, terrain, surface, soils)
    lay_houses(name, settings, terrain, surface, soils, lines)
