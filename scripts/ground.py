"""Scene-wide stages: `ground-labels`, `views` for SAM, `ground-masks`; `resunet-scenes` trains on these."""

from apsam.commands.ground import ground_labels, ground_masks, resunet_scenes, views
from apsam.commands.run import run

if __name__ == "__main__":
    run(ground_labels, views, ground_masks, resunet_scenes)
