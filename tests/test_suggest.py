"""Suggestions of tiles to label and labels to check: known results, from image-level labels alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from fake_run import make_fake_run
from labelling_scenes import SMALL, on_map, write_scene
from shapely import Point

from apsam.errors import InputError
from apsam.labelling.grid import write_grid
from apsam.labelling.page import PageScene, make_label_page
from apsam.labelling.ranking import agreement, calibrate, covered_by_negatives, entropy, spread_out, suspicion
from apsam.labelling.simulate import found_among_first, look_at, random_order, suggested_order, with_errors
from apsam.labelling.suggest import suggest
from apsam.labelling.suggestion_pictures import suggestion_pictures
from apsam.labelling.suggestions import Suggestion, Suggestions, read_suggestions, write_suggestions
from apsam.labelling.tables import fill_suggestions
from apsam.labelling.tile_outputs import RunScene, TileOutputs, read_tile_outputs, top_mean
from apsam.scenes import Scene
from apsam.stack import TileStack, TileStackWriter
from apsam.tiles.outlines import outlines
from apsam.tiles.reader import SceneReader
from apsam.tiles.scene_labels import scene_labels
from apsam.tiles.settings import LabelSettings, SplitSettings
from apsam.tiles.tiling import tile_scene
from apsam.tiles.windows import tile_windows


def scene(label: list[int], stride: int = 64, **members: list[float]) -> TileOutputs:
    """Tiles of 64 px in a row."""
    windows = np.array([(0, number * stride, 64, 64) for number in range(len(label))])
    names = [f"r0_c{col}" for col in windows[:, 1].tolist()]
    boxes = outlines(Affine.identity(), windows)
    opinions = {name.replace("_", "-"): np.array(values, float) for name, values in members.items()}
    return TileOutputs("valley", names, np.array(label, np.uint8), boxes, opinions)


def test_calibration_keeps_the_order_of_scores() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat([1, 0, 255], 200).astype(np.uint8)
    # An overconfident member: its scores are squeezed to the upper end, at 0.9 half of the tiles are negative.
    logits = rng.normal(np.select([label == 1, label == 0], [3.2, 1.2], 2.2), 0.8)
    score = 1 / (1 + np.exp(-logits))
    probability = calibrate(score, label)
    assert np.all(np.diff(probability[np.argsort(score)]) >= 0)
    middle = probability[np.abs(logits - 2.2) < 0.05]
    assert middle.mean() == pytest.approx(0.5, abs=0.08)
    assert probability[label == 1].mean() == pytest.approx((probability[:400] > 0).mean() * 0.88, abs=0.08)
    few = np.full(600, 255, np.uint8)
    few[:3], few[3:6] = 1, 0
    assert np.array_equal(calibrate(score, few), score), "with three labels of each kind nothing is fitted"


def test_a_wrong_member_is_not_inverted_by_calibration() -> None:
    label = np.repeat([1, 0], 50).astype(np.uint8)
    score = np.where(label == 1, 0.2, 0.8)
    assert np.ptp(calibrate(score, label)) == pytest.approx(0, abs=1e-6)


def test_tiles_are_useful_where_members_disagree_or_are_undecided() -> None:
    localizer = np.array([0.95, 0.5, 0.95, 0.05, np.nan])
    map_ = np.array([0.05, 0.5, 0.95, 0.05, np.nan])
    use = entropy(agreement([localizer, map_]))
    assert use[0] == pytest.approx(1) and use[1] == pytest.approx(1) and use[4] == pytest.approx(1)
    assert use[2] < 0.3 and use[3] < 0.3


def test_suggestions_are_spread_over_the_scene() -> None:
    # Thirty neighbours on one slope, all alike, and two lonely tiles that are a little less useful.
    slope = np.stack([np.arange(30) * 0.6, np.zeros(30)], axis=1)
    centre = np.concatenate([slope, [[100, 100], [200, 0]]])
    use = np.concatenate([np.full(30, 0.9), [0.8, 0.7]])
    order, value = spread_out(use, centre, 1.0)
    assert {30, 31} <= set(order[:14].tolist()), "they come long before all of the slope"
    first = order[:3]
    assert np.ptp(centre[first], axis=0).max() > 2
    assert sorted(order.tolist()) == list(range(32)) and np.all(np.diff(value) <= 1e-9)
    plain, _ = spread_out(use, None, 1.0)
    assert plain[-2:].tolist() == [30, 31]


def test_positive_tile_covered_by_negatives_is_a_contradiction() -> None:
    windows = np.array([(0, 0, 64, 64), (0, 32, 64, 64), (0, 64, 64, 64), (0, 300, 64, 64)])
    boxes = outlines(Affine.identity(), windows)
    covered = covered_by_negatives(boxes, np.array([0, 1, 0, 1], np.uint8))
    assert covered.tolist() == [0, 1, 0, 0]
    covered = covered_by_negatives(boxes, np.array([0, 1, 255, 1], np.uint8))
    assert covered.tolist() == [0, 0.5, 0, 0]
    wrong = suspicion(np.array([0.9, 0.9, 0.1, np.nan]), np.array([0, 1, 0, 1], np.uint8), np.array([0, 1, 0, 0]))
    assert wrong[:3].tolist() == [0.9, 1.0, 0.1] and np.isnan(wrong[3])


def test_suggestions_have_reasons() -> None:
    found = suggest(
        [
            scene(
                [255, 255, 255, 0, 1, 1],
                stride=640,
                localizer=[0.95, 0.9, 0.5, 0.97, 0.04, 0.9],
                map=[0.05, 0.99, 0.5, 0.96, 0.02, 0.9],
                pseudo_mask=[np.nan, np.nan, np.nan, np.nan, 0, 1],
            )
        ]
    )
    look, check = found.of("look"), found.of("check")
    assert [entry.tile for entry in look] == ["r0_c0", "r0_c1280", "r0_c640"]
    assert look[0].why == "they disagree: localizer 95%, map 5%" and look[1].why.startswith("undecided")
    assert [(entry.tile, entry.label) for entry in check] == [("r0_c2560", 1), ("r0_c1920", 0), ("r0_c3200", 1)]
    assert check[0].why == "labelled landslide: localizer 4%, map 2%, its pseudo-mask is empty"
    assert check[1].why == "labelled none: localizer 97%, map 96%"
    assert [entry.rank for entry in check] == [1, 2, 3] and check[2].score < 0.2


def test_wrong_labels_are_ranked_first() -> None:
    """10 % of the labels are inverted; a committee that is right for 85 % of the tiles finds most of them."""
    rng = np.random.default_rng(5)
    reference = rng.integers(0, 2, 400)
    given = reference.copy()
    turned = rng.permutation(400)[:40]
    given[turned] = 1 - given[turned]
    members = {
        name: 1 / (1 + np.exp(-rng.normal(np.where(reference == 1, 1.5, -1.5), 1.5))) for name in ("localizer", "map")
    }
    found = suggest([scene(given.tolist(), stride=640, **members)])
    suspects = [entry.number for entry in found.of("check")[:80]]
    assert len(set(suspects) & set(turned.tolist())) >= 24


def test_run_without_predictions_is_refused() -> None:
    with pytest.raises(InputError, match="neither scores, nor a map, nor pseudo-masks"):
        suggest([scene([1, 0])])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "tiny"
    make_fake_run(folder, ("alder",))
    return folder


def test_tile_outputs_are_read_from_run_files(run: Path, tmp_path: Path) -> None:
    files = RunScene(
        "alder",
        run / "tiles/alder.zarr.zip",
        masks=run / "masks/apsam/alder.zarr.zip",
        probability=run / "maps/apsam/alder_probability.tif",
        scores=tmp_path / "none.zarr.zip",
    )
    found = read_tile_outputs(files)
    assert found.missing == ["the localizer's scores"] and set(found.members) == {"map", "pseudo-mask"}
    with TileStack(files.tiles) as stack:
        label = stack.read("label")
    assert np.array_equal(found.label, label)
    assert np.isnan(found.members["pseudo-mask"][label == 0]).all()
    assert set(found.members["pseudo-mask"][label == 1]) <= {0.0, 1.0}
    seen = found.members["map"]
    assert ((seen >= 0) & (seen <= 1)).all()
    assert seen[label == 1].mean() > seen[label == 0].mean()
    picture = suggestion_pictures(suggest([found]), "check", {"alder": files.tiles}, 2)
    assert len(picture) == 2 and picture[0].image.shape == (128, 128, 3)


@pytest.mark.parametrize("split", ["test", "blocks"])
def test_tiles_without_a_label_are_those_of_the_tile_stack(tmp_path: Path, split: str) -> None:
    """Also of points with sizes, whose surroundings have no label, and where blocks leave labelled tiles out."""
    image, stack = write_scene(tmp_path / "alder.tif", empty=0), tmp_path / "alder.zarr.zip"
    inventory = gpd.GeoDataFrame({"length_m": [60.0]}, geometry=[Point(on_map(160, 128))], crs="EPSG:32647")
    inventory.to_file(tmp_path / "points.gpkg")
    scene = Scene("alder", "raster", image, tmp_path / "points.gpkg", None, split)
    blocks = SplitSettings(block=128)
    tile_scene(scene, SMALL, LabelSettings(size_column="length_m", ignore_m=20), blocks, stack)
    with SceneReader(image, SMALL) as reader:
        windows = tile_windows(reader.height, reader.width, SMALL.size, SMALL.stride)
        with scene_labels(scene, reader, windows, LabelSettings(size_column="length_m", ignore_m=20)) as labels_of:
            wanted = labels_of(windows, np.ones((len(windows), SMALL.size, SMALL.size), np.uint8))
    found = read_tile_outputs(RunScene("alder", stack)).label
    assert set(wanted) == {0, 1, 255} and np.array_equal(found, wanted)


def test_scores_of_other_tiles_are_refused(run: Path, tmp_path: Path) -> None:
    with TileStackWriter(tmp_path / "s.zarr.zip", {"scene": "birch"}, {"score": ((), "float32")}) as writer:
        writer.append(score=np.zeros(3, np.float32))
    with pytest.raises(InputError, match=r"s.zarr.zip: has 3 tiles of 'birch'"):
        read_tile_outputs(RunScene("alder", run / "tiles/alder.zarr.zip", scores=tmp_path / "s.zarr.zip"))


def test_tile_score_is_the_mean_of_the_highest_hundredth() -> None:
    values = np.zeros(1000)
    values[:10] = 0.8
    assert top_mean(values) == pytest.approx(0.8) and np.isnan(top_mean(np.empty(0)))


def some() -> Suggestions:
    return Suggestions(
        [
            Suggestion(1, "look", "valley", "r64_c96", 10, None, 0.9, "undecided"),
            Suggestion(2, "look", "valley", "r32_c96", 11, None, 0.8, "undecided"),
            Suggestion(1, "check", "valley", "r96_c96", 12, 0, 0.9, "labelled none, and it is not"),
            Suggestion(2, "check", "valley", "r96_c128", 13, 1, 0.1, "fine"),
        ]
    )


def test_suggestions_as_files_columns_and_page_order(tmp_path: Path) -> None:
    image = write_scene(tmp_path / "valley.tif")
    write_suggestions(some(), tmp_path / "s.json")
    assert read_suggestions(tmp_path / "s.json") == some()
    write_suggestions(some(), tmp_path / "s.csv")
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 5
    write_grid(image, SMALL, tmp_path / "grid.gpkg")
    before = gpd.read_file(tmp_path / "grid.gpkg", layer="tiles")
    for _ in range(2):
        assert fill_suggestions(tmp_path / "grid.gpkg", some()) == 4
    after = gpd.read_file(tmp_path / "grid.gpkg", layer="tiles")
    assert after[before.columns].equals(before)
    ranks = after.set_index("tile")
    assert ranks.loc["r32_c96", "look_rank"] == 2 and ranks.loc["r96_c96", "check_rank"] == 1
    assert ranks["look_rank"].notna().sum() == 2 and ranks.loc["r64_c96", "suggestion"] == "undecided"
    make_label_page([PageScene(image)], tmp_path / "page", SMALL, some())
    data = (tmp_path / "page/scenes.js").read_text()
    with pytest.raises(
        InputError, match=r"suggestions are of the scenes valley, and the page has ridge; .* apsam label NAME=IMAGE"
    ):
        make_label_page([PageScene(image, "ridge")], tmp_path / "other", SMALL, some())
    # Numbers of the run, which leaves out the first candidate; the label that looks right is no suspect.
    assert '"suggested":{"look":[20,11],"check":[29],' in data
    with pytest.raises(InputError, match=r"names? the tile 'r64_c96', which .*tile size"):
        make_label_page([PageScene(image)], tmp_path / "page", SMALL.model_copy(update={"size": 96}), some())


def test_invalid_suggestions_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("[1]")
    with pytest.raises(InputError, match=r"s.json: has no suggestions; apsam suggest RUN"):
        read_suggestions(tmp_path / "s.json")


def test_simulated_person_labels_the_given_number_with_the_given_errors() -> None:
    reference = {f"t{number}": number % 2 for number in range(40)}
    order = random_order(list(reference), 1)
    assert sorted(order) == sorted(reference) and order != list(reference) and order == random_order(list(reference), 1)
    labels = look_at({"t0": 0}, ["t0", *order], reference, 10)
    assert len(labels) == 11 and all(reference[name] == label for name, label in labels.items())
    erring, wrong = with_errors(reference, 0.1, 3)
    assert len(wrong) == 4 and [name for name in reference if erring[name] != reference[name]] == sorted(
        wrong, key=lambda name: int(name[1:])
    )
    assert suggested_order(some(), "valley") == ["r64_c96", "r32_c96"] and suggested_order(some(), "ridge") == []
    assert found_among_first(some(), ["r96_c96"], 0.5) == 1 and found_among_first(some(), ["r96_c128"], 0.5) == 0


def test_suggest_command_reads_a_run_and_names_missing_files(run: Path, tmp_path: Path) -> None:
    """With an untrained localizer: its scores are noise, but every tile has one."""
    import yaml
    from typer.testing import CliRunner

    from apsam.cli import app
    from apsam.localizer.checkpoint import save_localizer
    from apsam.localizer.methods import build_method
    from apsam.localizer.settings import LocalizerSettings

    sheet = tmp_path / "scenes.tsv"
    sheet.write_text(
        "scene\timage\tlabels\tmask\tsplit\nalder\tsynthetic\tmask\t\ttest\nbirch\tsynthetic\tmask\t\ttrain\n"
    )
    config = {"run": "tiny", "scenes": str(sheet), "tiles": {"size": 128}}
    (run / "report").mkdir(exist_ok=True)
    (run / "report/config.yaml").write_text(yaml.safe_dump(config))
    weights = run / "localizer/weights.safetensors"
    weights.unlink(missing_ok=True)
    command = ["suggest", str(run), "-o", str(tmp_path / "s.json"), "--threads", "1", "--device", "cpu"]
    with pytest.raises(InputError, match=r"weights.safetensors: missing, so .* is not a finished run"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    with pytest.raises(InputError, match=r"s.txt: suggestions are written as .json or .csv"):
        CliRunner().invoke(app, [*command[:3], str(tmp_path / "s.txt")], catch_exceptions=False)
    save_localizer(build_method(LocalizerSettings(), weights="none"), weights)
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0 and "Labels, those that look wrong first (9 tiles in order)" in done.stdout
    assert f"--order {tmp_path / 's.json'}" in done.stdout
    table = CliRunner().invoke(app, [*command[:3], str(tmp_path / "s.csv"), *command[4:]], catch_exceptions=False)
    assert "s.csv: written\n" in table.stdout, "a table is no order for the label page"
    found = read_suggestions(tmp_path / "s.json")
    assert {entry.scene for entry in found.entries} == {"alder"} and not found.of("look")
    assert "localizer" in found.entries[0].why and "map" in found.entries[0].why
    (run / "maps/ground").mkdir()
    shutil.copy(run / "maps/cam/alder_probability.tif", run / "maps/ground")
    other = CliRunner().invoke(app, [*command[:3], str(tmp_path / "ground.json"), *command[4:]], catch_exceptions=False)
    assert other.exit_code == 0, "the scene-wide map is used where the run has one, as in the report"
    assert (tmp_path / "ground.json").read_bytes() != (tmp_path / "s.json").read_bytes()
    shutil.rmtree(run / "maps/ground")
    reads = [path for path in (run / "scenes").glob("*_mask.tif")]
    assert reads, "there is a reference mask, and nothing asked for it"
    for path in reads:
        path.rename(path.with_suffix(".away"))
    again = CliRunner().invoke(app, [*command[:3], str(tmp_path / "again.json"), *command[4:]], catch_exceptions=False)
    assert again.exit_code == 0
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "s.json").read_bytes()
