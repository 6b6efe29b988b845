"""Map scenes with a trained ResUNet: `predict-scene` a raster, `predict-tiles` a folder of ready-made tiles.

A large raster is predicted in bands of rows (`predict-block`), which `predict-join` mosaics.
`predict-mask` thresholds a map at another value.
"""

from apsam.commands.predict import predict_block, predict_join, predict_mask, predict_scene, predict_tiles
from apsam.commands.run import run

if __name__ == "__main__":
    run(predict_scene, predict_block, predict_join, predict_tiles, predict_mask)
