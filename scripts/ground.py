"""Scene-wide stages: check of the labels, label map, views for SAM, scene-wide pseudo-masks and their ResUNet."""

from apsam.commands.ground import ground_labels, ground_masks, label_errors, resunet_scenes, views
from apsam.commands.run import run

if __name__ == "__main__":
    run(label_errors, ground_labels, views, ground_masks, resunet_scenes)
