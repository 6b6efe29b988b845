"""What half of the labels buy in the whole way from labels to maps: all tiles, half in suggested order, half in random.

    python -m benchmarks.labelling_whole_way DATA --train A --test B --seeds 61 62 63 --work FOLDER --json FILE

`benchmarks.labelling_curve` measures many numbers of labels with a small head on frozen features. Here the networks are
those of the workflow (`benchmarks.jinsha_whole_way`), and the small heads only make the order of the tiles.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from apsam.device import set_threads
from apsam.files import read_json, write_json
from apsam.ground.settings import ViewSettings
from apsam.heatmaps.settings import HeatMapSettings
from apsam.maps.settings import MapSettings
from apsam.resunet.settings import ResUNetSettings
from apsam.tiles.settings import LabelSettings, TileSettings
from benchmarks import jinsha_whole_way
from benchmarks.jinsha_whole_way import EXPECTED
from benchmarks.labelling_curve import half_looked_at, in_tiles
from benchmarks.labelling_trial import Trial, feature_network, read_ground

ROW = "with SAM"


def main() -> None:
    """Measure all labels, and both halves for each order's seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the scenes and their masks")
    parser.add_argument("--train", required=True, help="scene that is labelled: A or B")
    parser.add_argument("--test", nargs="+", required=True, help="scenes to map")
    parser.add_argument("--seeds", nargs="+", type=int, default=[61, 62, 63], help="of the ResUNets")
    parser.add_argument("--orders", nargs="+", type=int, default=[1], help="seeds of the orders")
    parser.add_argument("--work", type=Path, required=True, help="folder for all files")
    parser.add_argument("--json", type=Path, required=True, help="the record")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    set_threads(given.threads)
    given.rows, given.heat_seeds, given.wrong_labels = [ROW], 51, 0
    ground = read_ground(
        given.train,
        given.data / f"scene_{given.train}.tif",
        given.data / f"scene_{given.train}_mask.tif",
        feature_network(),
    )
    # The small heads need a scene to map; only the order of the tiles is used.
    trial = Trial(given.train, [in_tiles(ground, 256, 0.4)], [ground])
    cases: dict[str, list[str]] = {"all": list(trial.reference)}
    for seed in given.orders:
        cases |= {f"{order} {seed}": names for order, names in half_looked_at(trial, seed).items()}
    work, record = given.work, read_json(given.json) if given.json.exists() else {}
    given.train = [given.train]
    for name, names in cases.items():
        given.work = work / name.replace(" ", "_")
        looked_at = {trial.name: {one.partition("/")[2] for one in names}}
        found = jinsha_whole_way.measure(given, settings(looked_at))
        record[name] = {"labels": len(names), "positive": sum(trial.reference[one] for one in names), **found}
        write_json(given.json, record)
    for name, case in record.items():
        for test, values in case["f1"][ROW + EXPECTED].items():
            some = list(values.values())
            spread = f"{np.mean(some):.3f} ({min(some):.3f} to {max(some):.3f})"
            print(f"{trial.name} -> {test}  {name.ljust(12)} {case['labels']} labels  F1 {spread}")


def settings(looked_at: dict[str, set[str]]) -> jinsha_whole_way.Settings:
    """The defaults of the whole way, with labels of some tiles."""
    return jinsha_whole_way.Settings(
        tiles=TileSettings(),
        labels=LabelSettings(min_pixels=328),
        heatmaps=HeatMapSettings(),
        views=ViewSettings(),
        resunet=ResUNetSettings(loss="bce"),
        maps=MapSettings(),
        looked_at=looked_at,
    )


if __name__ == "__main__":
    main()
