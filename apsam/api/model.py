"""A trained model: makes the class activation map, the mask and the maps of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from apsam.api.images import Image, open_pixels, scaled, shape_of, to_shape
from apsam.api.prediction import Prediction, map_scenes
from apsam.conditions import check_scene, read_conditions
from apsam.config import Config
from apsam.errors import InputError
from apsam.extras import naming_extras
from apsam.maps.model import MapModel
from apsam.prompts.generate import Prompt
from apsam.tiles.reader import SceneReader

if TYPE_CHECKING:
    from apsam.localizer.methods import Method
    from apsam.sam.model import LoadedSam


@dataclass(frozen=True)
class Model:
    """Localizer, SAM and ResUNet with their settings. Made by `apsam.load`; networks are read on first use.

    Attributes:
        config: Settings of all stages.
        localizer_weights: File of the localizer, for `cam`; None if there is none.
        mapping: The ResUNet and its settings, for `predict`; None if there is none.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.

    Examples:
        >>> import apsam
        >>> model = apsam.load("light")
        >>> model.config.tiles.size
        256
    """

    config: Config = field(default_factory=Config)
    localizer_weights: Path | None = None
    mapping: MapModel | None = None
    device: str = "auto"

    @cached_property
    def localizer(self) -> Method:
        """The localizer, a `torch.nn.Module` on its device.

        Raises:
            InputError: The model has no localizer, or its weights cannot be used.
        """
        from apsam.device import pick_device
        from apsam.localizer.checkpoint import load_localizer

        if self.localizer_weights is None:
            raise InputError(
                "this model has no localizer, so it makes no CAM; load a run, or apsam.load(localizer='FILE')"
            )
        with naming_extras():
            return load_localizer(self.localizer_weights).to(pick_device(self.device))

    @cached_property
    def sam(self) -> LoadedSam:
        """The SAM of `config.sam`, on its device.

        Raises:
            ApsamError: Its weights are not on this machine.
        """
        from apsam.sam.registry import build_sam

        with naming_extras():
            return build_sam(self.config.sam, device=self.device)

    def cam(self, image: Image) -> np.ndarray:
        """Make the class activation map of an image that shows a landslide.

        An image larger than a tile (`config.tiles.size`) is processed in overlapping tiles, whose CAMs are blended;
        a smaller image is padded with no data. The map is scaled to its own maximum, also for an image without a
        landslide. So use it only for images that are known to show one.

        Args:
            image: (H, W, 3) uint8 RGB, at the ground resolution of the training (masked pixels of a masked array are
                no data); or an open rasterio dataset of any size, whose file is read with its no-data value, bands and
                stretch (`config.tiles`). A dataset with another resolution than in training causes a warning.

        Returns:
            (H, W) uint8, 255 where the CAM is highest; 0 where there is no data.

        Raises:
            InputError: The image is none of these, or the model has no localizer.
        """
        from apsam.api.cam import image_cam

        method = self.localizer
        with open_pixels(image, self.config.tiles) as pixels:
            if isinstance(pixels, SceneReader) and self.localizer_weights is not None:
                check_scene(read_conditions(self.localizer_weights), pixels)
            device = next(method.parameters()).device
            cam = image_cam(method, pixels, self.config.tiles, self.config.cams, device)
            return to_shape(cam, shape_of(image))

    def segment(self, image: Image, prompts: Sequence[Prompt], cam: np.ndarray | None = None) -> np.ndarray:
        """Segment an image with SAM: the union of the masks of all prompts.

        SAM segments a tile of the image around each prompt, as in training. For a box larger than a tile, it segments a
        window that contains the box.

        Args:
            image: (H, W, 3) uint8 RGB, or an open rasterio dataset of any size.
            prompts: In pixels of the image; an empty list gives an empty mask.
            cam: (H, W) uint8 of `cam`; needed if `config.masks.cam_mask` passes it to SAM as mask prompt.

        Returns:
            (H, W) bool.

        Raises:
            InputError: The image is none of these, a prompt lies outside it or has another label than 0 and 1, or the
                CAM is not (H, W) uint8.
            ApsamError: SAM's weights are not on this machine.

        Examples:
            >>> import apsam, numpy as np
            >>> image = np.full((128, 128, 3), 60, np.uint8)
            >>> image[40:80, 30:90] = 200
            >>> model = apsam.load("light")
            >>> mask = model.segment(image, [apsam.Prompt(box=(28, 38, 92, 82), point=(60, 60))])
            >>> mask.shape, mask.dtype, bool(mask[60, 60]), bool(mask[10, 10])
            ((128, 128), dtype('bool'), True, False)
        """
        from apsam.api.segment import segment_image

        config = self.config
        with open_pixels(image, config.tiles) as pixels:
            # The settings may read a dataset at another resolution than that of its file (`config.tiles`).
            shape, grid = shape_of(image), (pixels.height, pixels.width)
            asked = scaled(prompts, shape, grid)
            if cam is not None and cam.shape == shape:
                cam = to_shape(cam, grid)
            mask = segment_image(self.sam, pixels, asked, config.tiles, config.sam, config.masks, cam)
            return to_shape(mask.astype(np.uint8), shape, exact=True) > 0

    def predict(
        self, scene: str | Path, output: str | Path, *, resample: bool | None = None, overwrite: bool = False
    ) -> Prediction:
        """Map a scene with the ResUNet, without labels and prompts. `apsam predict` does the same.

        Args:
            scene: A raster with a CRS, of any size; or a folder of ready-made tiles.
            output: Folder for the files, which are named by the scene.
            resample: True: interpolate a raster that is coarser than in training; False: map a finer one as it is;
                None: read a finer one at the training's ground resolution, a coarser one as it is.
            overwrite: Also replace files that apsam did not make.

        Returns:
            The files, and `polygons` as a GeoDataFrame.

        Raises:
            InputError: The scene or the weights cannot be used, or the model has no ResUNet.
        """
        if self.mapping is None:
            raise InputError(
                "this model has no ResUNet, so it cannot map scenes; load a run, or apsam.load(resunet='FILE')"
            )
        with naming_extras():
            [made] = map_scenes(self.mapping, [Path(scene)], Path(output), resample, overwrite, self.device)
        return made
