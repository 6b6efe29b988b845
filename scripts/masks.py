"""Make the pseudo-masks of a scene: `masks-apsam` by SAM, `masks-cam` from the CAM, `masks-grabcut` by GrabCut."""

from apsam.commands.masks import masks_apsam, masks_cam, masks_grabcut
from apsam.commands.run import run

if __name__ == "__main__":
    run(masks_apsam, masks_cam, masks_grabcut)
