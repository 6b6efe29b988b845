"""Make heat maps from image-level labels: networks, scenes' heat maps, their threshold, SAM's factor, maps of views."""

from apsam.commands.heatmaps import (
    heatmap_factor,
    heatmap_masks,
    heatmap_network,
    heatmap_scene,
    heatmap_stack,
    heatmap_threshold,
    heatmap_tiles,
)
from apsam.commands.run import run

if __name__ == "__main__":
    run(
        heatmap_network,
        heatmap_scene,
        heatmap_threshold,
        heatmap_factor,
        heatmap_stack,
        heatmap_tiles,
        heatmap_masks,
    )
