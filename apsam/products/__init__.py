"""What people take away from a map: landslide polygons, styles, a QGIS project, a STAC item."""
