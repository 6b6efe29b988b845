"""Maps of whole scenes: blending of overlapping windows, Cloud Optimised GeoTIFFs."""
