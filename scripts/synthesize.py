"""Makes one synthetic scene: an RGB GeoTIFF and the mask of its landslides."""

import argparse
from pathlib import Path

from apsam.synthetic import SyntheticSettings, make_scene, write_scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", required=True, help="name of the scene; seeds it together with settings.seed")
    parser.add_argument("--settings", default="{}", help="section `synthetic` of the config as JSON")
    parser.add_argument("--image", type=Path, required=True, help="GeoTIFF to write the image to")
    parser.add_argument("--mask", type=Path, required=True, help="GeoTIFF to write the truth to")
    arguments = parser.parse_args()
    settings = SyntheticSettings.model_validate_json(arguments.settings)
    write_scene(make_scene(arguments.scene, settings), arguments.image, arguments.mask)


if __name__ == "__main__":
    main()
