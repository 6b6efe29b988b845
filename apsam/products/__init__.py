"""Final products of a map: landslide polygons, styles, a QGIS project, a STAC item."""
