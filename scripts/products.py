"""Make the final products of a map: polygons, styles, a QGIS project, a STAC item."""

from apsam.commands.products import products
from apsam.commands.run import run

if __name__ == "__main__":
    run(products)
