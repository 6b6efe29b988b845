"""Map scenes with a trained ResUNet: `predict-scene` a raster, `predict-tiles` a folder of ready-made tiles."""

from apsam.commands.predict import predict_scene, predict_tiles
from apsam.commands.run import run

if __name__ == "__main__":
    run(predict_scene, predict_tiles)
