"""A run as the rules see it: which scenes, which files belong to each, and each stage's parameters as plain strings.

Parameters must be strings (or functions of the wildcards alone): Snakemake compares their text to decide what to run
again, and does not see parameters that are functions of the input (docs/architecture.md).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from apsam.companions import companions
from apsam.config import Config, parse_config
from apsam.errors import ConfigError, InputError
from apsam.localizer.method_code import method_code, offline_code
from apsam.localizer.method_settings import OFFLINE_FILES
from apsam.protocol import protocol_of
from apsam.scenes import check_scenes, read_scene_sheet
from apsam.tiles.blocks import block_count, block_names, block_of, window_count
from apsam.weights import PUBLISHED
from workflow_support.checksums import Checksums
from workflow_support.code_hashes import code_hashes
from workflow_support.hashes import DIGITS, listing_hash, packaged_weights, short_hash
from workflow_support.raster_sizes import RasterSizes
from workflow_support.shell import quoted
from workflow_support.variants import Variants, stage_of

# Endings that name a scene's other files; a scene called so could not be told from them.
RESERVED_ENDINGS = ("_mask", "_probability")


class Run:
    """One run: a checked configuration with its scenes and variants.

    Where a method takes `variant`, it is the folder of a variant's files, "" for the run's own (`variants.py`).

    Args:
        config: Snakemake's merged configuration.

    Raises:
        ApsamError: A key, a value or the scene sheet is wrong.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config: Config = parse_config(config)
        self.variants = Variants(self.config)
        self._sizes = RasterSizes()
        self._settings: dict[tuple[str, str], str] = {}
        self._listings: dict[tuple[str, ...], str] = {}
        self.scenes = {s.name: s for s in read_scene_sheet(self.config.scenes, self.config.data_dir)}
        for name in self.scenes:
            if name.endswith(RESERVED_ENDINGS):
                raise ConfigError(
                    f"{self.config.scenes}: a scene's name must not end in {' or '.join(RESERVED_ENDINGS)}: '{name}'"
                )

    def check_inputs(self) -> None:
        """Open the header of every raster and vector layer, and every label table.

        Raises:
            ApsamError: The first thing that is wrong, and what to do.
        """
        check_scenes(list(self.scenes.values()), self.config.tiles, self.config.labels, self.config.split)
        for path in (*self.given, *self.dem(), *self.checkpoint(), *self.backbone_weights()):
            if {"{", "}"} & set(path):
                raise ConfigError(
                    f"{path}: a path must not hold {{ or }}, which Snakemake reads as wildcards; rename it"
                )
        if self.config.dem and not self.config.dem.is_file():
            raise InputError(f"{self.config.dem}: no such raster of elevations; check 'products.dem' and 'data_dir'")
        folders = [scene.name for scene in self.scenes.values() if scene.kind == "folder"]
        if self.config.sam.window and folders:
            raise ConfigError(
                f"sam.window: '{folders[0]}' is a folder of ready-made tiles, which have no surroundings; "
                f"set sam.window: null"
            )
        # Jobs ask again, and then need open no header and read no file.
        for scene in self.scenes.values():
            if scene.kind == "raster":
                self._sizes.of(scene.image)
        self._sizes.save()
        self.given_listing()
        self._checksums.save()

    @property
    def folder(self) -> str:
        """Where all files of the run lie."""
        return f"results/{self.config.run}"

    def place(self, path: str, variant: str = "") -> str:
        """A file of the run, given its path within the folder of `variant`, where that variant finds it.

        `cams/valley.zarr.zip` of a variant with another SAM is the run's own: the SAM is not asked for CAMs.
        """
        return f"{self.folder}/{self.variants.place(stage_of(path), variant)}{path}"

    @property
    def logs(self) -> str:
        """Where the jobs write what they have to say."""
        return f"logs/{self.config.run}"

    @property
    def benchmarks(self) -> str:
        """Where Snakemake writes what the jobs took."""
        return f"{self.logs}/benchmarks"

    @cached_property
    def names(self) -> list[str]:
        """All scenes."""
        return list(self.scenes)

    @cached_property
    def synthetic(self) -> list[str]:
        """Scenes that the workflow makes itself."""
        return [name for name, scene in self.scenes.items() if scene.kind == "synthetic"]

    @cached_property
    def training(self) -> list[str]:
        """Scenes with tiles to train on."""
        return [name for name, scene in self.scenes.items() if scene.split != "test"]

    @cached_property
    def held_out(self) -> list[str]:
        """Scenes with tiles to measure on."""
        return [name for name, scene in self.scenes.items() if scene.split != "train"]

    @cached_property
    def mapped(self) -> list[str]:
        """Scenes that are mapped: those to measure on, or all."""
        return [name for name, scene in self.scenes.items() if self.config.maps.are_made_of(scene.split)]

    @cached_property
    def measured(self) -> list[str]:
        """Scenes with a true mask."""
        return [name for name in self.names if self.mask(name)]

    @cached_property
    def measured_held_out(self) -> list[str]:
        """Scenes with a true mask that are not all for training."""
        return [name for name in self.held_out if self.mask(name)]

    @cached_property
    def measured_maps(self) -> list[str]:
        """Mapped scenes with a true mask."""
        return [name for name in self.mapped if self.mask(name)]

    @cached_property
    def measured_training(self) -> list[str]:
        """Scenes with a true mask that are not all held out."""
        return [name for name in self.training if self.mask(name)]

    def units(self, name: str) -> list[str]:
        """The parts of a scene that are worked on one by one: its own name, or those of its blocks."""
        return block_names(name, self._blocks[name])

    @cached_property
    def in_blocks(self) -> list[str]:
        """Scenes that are worked on in several blocks."""
        return [name for name, count in self._blocks.items() if count > 1]

    @cached_property
    def _blocks(self) -> dict[str, int]:
        # The run's own settings decide also for its variants: how many blocks there are changes no result.
        tiles = self.config.tiles
        return {name: block_count(self._windows(name, tiles.stride), tiles.block_tiles) for name in self.names}

    def bands(self, name: str) -> int:
        """In how many bands of rows a raster scene is mapped."""
        return self._bands[name]

    @cached_property
    def in_bands(self) -> list[str]:
        """Raster scenes that are mapped in several bands of rows."""
        return [name for name, count in self._bands.items() if count > 1]

    @cached_property
    def _bands(self) -> dict[str, int]:
        tiles, stride = self.config.tiles, self.config.maps.stride(self.config.tiles.size)
        rasters = [name for name, scene in self.scenes.items() if scene.kind != "folder"]
        return {name: block_count(self._windows(name, stride), tiles.block_tiles) for name in rasters}

    def _windows(self, name: str, stride: int) -> int:
        """How many windows a scene has at a step of `stride` pixels, or tiles, if it is a folder of them."""
        scene = self.scenes[name]
        if scene.kind == "folder":
            return len(os.listdir(scene.image)) if scene.image.is_dir() else 1
        side = self.config.synthetic.size_px
        height, width = (side, side) if scene.kind == "synthetic" else self._sizes.of(scene.image)
        return window_count(height, width, self.config.tiles.size, stride)

    def truth(self, names: Sequence[str], variant: str = "") -> list[str]:
        """Images and true masks of scenes, without folders."""
        files = [file for name in names for file in (self.image(name, variant), self.mask(name, variant)) if file]
        return [file for file in files if not Path(file).is_dir()]

    def sheet_arguments(self) -> str:
        """The arguments that name the scene sheet and where its paths start."""
        data_dir = f" --data-dir {quoted(self.config.data_dir)}" if self.config.data_dir else ""
        return f"--scenes {quoted(self.config.scenes)}{data_dir}"

    def measured_folders(self, kind: str, sources: Sequence[str], variant: str = "") -> str:
        """The arguments that say where scenes, tiles and what is measured (`masks` or `maps`) lie."""
        measured = " ".join(f"--{kind} {source}={self.place(f'{kind}/{source}', variant)}" for source in sources)
        return f"--synthetic {self.place('scenes', variant)} --tiles {self.place('tiles', variant)} {measured}"

    def sheet(self, measured: Sequence[str] = ()) -> str:
        """What the scene sheet says, as text: a comment or a changed order of columns is no change.

        Args:
            measured: Scenes whose masks are read too: what is in folders of them is no input (`truth`), but said here.
        """
        masks = self._listing(mask for name in measured if (mask := self.mask(name)))
        lines = [f"{s.name}:{s.image}:{s.mask}:{s.split}" for s in self.scenes.values()]
        return " ".join([*lines, masks] if masks else lines)

    def image(self, name: str, variant: str = "") -> str:
        """The image of a scene: given, or made by the rule `synthesize`."""
        scene = self.scenes[name]
        return self.place(f"scenes/{name}.tif", variant) if scene.kind == "synthetic" else str(scene.image)

    def mask(self, name: str, variant: str = "") -> str | None:
        """The true mask of a scene; None where there is none."""
        scene = self.scenes[name]
        if scene.kind == "synthetic":
            return self.place(f"scenes/{name}_mask.tif", variant)
        return str(scene.mask) if scene.mask else None

    def map_files(self, source: str, name: str, variant: str = "") -> list[str]:
        """The maps of a scene: probability and mask, or for ready-made tiles an archive of their masks."""
        base = self.place(f"maps/{source}/{name}", variant)
        if self.scenes[name].kind == "folder":
            return [f"{base}.zip"]
        return [f"{base}_probability.tif", f"{base}_mask.tif"]

    def band_files(self, source: str, name: str, variant: str = "") -> list[str]:
        """The bands of rows that a scene's map is put together of."""
        units = block_names(name, self.bands(name))
        return [self.place(f"maps/{source}/bands/{unit}.tif", variant) for unit in units]

    def maps(self, sources: Sequence[str], names: Sequence[str], variant: str = "") -> list[str]:
        """The maps of several scenes."""
        return [file for source in sources for name in names for file in self.map_files(source, name, variant)]

    def products(self, sources: Sequence[str], names: Sequence[str]) -> list[str]:
        """The GeoPackages of several scenes; what else is made of a map lies beside them."""
        rasters = [name for name in names if self.scenes[name].kind != "folder"]
        return [self.place(f"maps/{source}/{name}.gpkg") for source in sources for name in rasters]

    def where_to_look(self) -> str:
        """What to open when all is done: of the report, maps and experiments those that are there."""
        report = Path(self.folder, "report/index.html")
        projects = [
            file for name in sorted(self.mapped) if (file := Path(self.folder, f"maps/apsam/{name}.qgs")).is_file()
        ]
        tables = sorted(Path(self.folder, "experiments").glob("*.csv"))
        lines = [f"Report:       {report}"] if report.is_file() else []
        more = ", ..." if projects[3:] else ""
        lines += [f"Maps in QGIS: {', '.join(map(str, projects[:3]))}{more}"] if projects else []
        lines += [f"Experiments:  {', '.join(map(str, tables))}"] if tables else []
        return "\n".join(["", *lines]) if lines else f"Everything is in {self.folder}/"

    def experiments_made(self) -> str:
        """Hash of the experiments' files that are there, so that the report is made again when there are others."""
        files = sorted(Path(self.folder, "experiments").glob("*.json"))
        return " ".join(f"{file.stem}:{short_hash(file)}" for file in files)

    def dem(self) -> list[str]:
        """The raster of elevations, where there is one, and what is read with it."""
        return _with_companions(self.config.dem) if self.config.dem else []

    def product_settings(self) -> str:
        """The section `products` as JSON, with the path of the elevations as it can be opened."""
        return json.dumps(self.config.product_settings().model_dump(mode="json"), sort_keys=True)

    def date_argument(self, name: str) -> str:
        """The argument that says when a scene's image was taken, where the sheet says so."""
        taken = self.scenes[name].taken
        return f"--date {taken.isoformat()}" if taken else ""

    def tile_inputs(self, name: str, variant: str = "") -> dict[str, str]:
        """What the tile stage reads of a scene: image, and labels or the mask they are derived from."""
        scene = self.scenes[name]
        inputs = {"image": self.image(name, variant)}
        if scene.labels is not None:
            inputs["labels"] = str(scene.labels)
        elif (mask := self.mask(name, variant)) is not None:
            inputs["mask"] = mask
        return inputs

    def tile_files(self, unit: str, variant: str = "") -> dict[str, str]:
        """`tile_inputs` without folders, whose dates say nothing about what is in them."""
        inputs = self.tile_inputs(block_of(unit)[0], variant)
        return {key: path for key, path in inputs.items() if not Path(path).is_dir()}

    def tile_arguments(self, unit: str, variant: str = "") -> str:
        """The arguments of the tile stage that name a scene's files and part, and which block of it is meant."""
        name, number = block_of(unit)
        count = self._blocks[name]
        block = f" --block {number}/{count}" if count > 1 else ""
        files = " ".join(f"--{key} {quoted(path)}" for key, path in self.tile_inputs(name, variant).items())
        return f"--scene {name} {files} --split {self.scenes[name].split}{block}"

    def listing(self, unit: str) -> str:
        """Hash of what the tile stage reads beside `tile_files`: in folders, in sidecars; empty if that is nothing."""
        return self._listing(self.tile_inputs(block_of(unit)[0]).values())

    def image_listing(self, name: str) -> str:
        """The same of the image alone."""
        return self._listing([self.image(name)])

    def _listing(self, paths: Iterable[str]) -> str:
        paths = tuple(paths)
        if paths not in self._listings:
            self._listings[paths] = listing_hash(paths, self._checksums.of)
        return self._listings[paths]

    @cached_property
    def _checksums(self) -> Checksums:
        return Checksums()

    @cached_property
    def given(self) -> list[str]:
        """Files and folders of all scenes that the workflow does not make itself."""
        scenes = [scene for scene in self.scenes.values() if scene.kind != "synthetic"]
        return [str(path) for s in scenes for path in (s.image, s.labels, s.mask) if path is not None]

    def given_files(self) -> list[str]:
        """`given` without folders."""
        return list(dict.fromkeys(path for path in self.given if not Path(path).is_dir()))

    def given_listing(self) -> str:
        """Hash of what is in all given folders, and in the files that are read with given files."""
        return self._listing(self.given)

    @property
    def inventory(self) -> list[str]:
        """The inventory of what is given; none where all scenes are synthetic."""
        return [self.place("scenes/inventory.json")] if self.given else []

    def settings(self, section: str, variant: str = "") -> str:
        """A section of the configuration as JSON, every key of it."""
        if (section, variant) not in self._settings:
            chosen = getattr(self.variants.config(variant), section)
            values = chosen.decisive() if section == "tiles" else chosen.model_dump(mode="json")
            self._settings[section, variant] = json.dumps(values, sort_keys=True)
        return self._settings[section, variant]

    def label_gate(self, variant: str = "") -> str:
        """The argument that says whether tiles labelled negative are left out."""
        return "--label-gate" if self.variants.config(variant).label_gate else "--no-label-gate"

    def protocol(self, variant: str = "") -> str:
        """The protocol of a variant's figures, which follows from its settings."""
        return protocol_of(self.variants.config(variant))

    def truth_arguments(self, variant: str = "") -> str:
        """The arguments that show the ResUNet's training true masks; none unless its settings ask for them."""
        if self.variants.config(variant).resunet.keep == "last":
            return ""
        return f"{self.sheet_arguments()} --synthetic {self.place('scenes', variant)}"

    def training_truth(self, variant: str = "") -> list[str]:
        """The true masks that the ResUNet's training reads, one by one: none unless its settings ask for them."""
        if self.variants.config(variant).resunet.keep == "last":
            return []
        masks = [Path(self.mask(name, variant)) for name in self.measured_training]
        return [
            *self.truth(self.measured_training, variant),
            *(str(file) for mask in masks for file in companions(mask)),
        ]

    def seed(self, variant: str = "") -> int:
        """The seed of both trainings."""
        return self.variants.config(variant).seed

    def whole_configuration(self) -> str:
        """The configuration as JSON, without what changes no result."""
        unimportant = {"device", "shelf_gb", "keep_embeddings"}
        return json.dumps(self.config.model_dump(mode="json", exclude=unimportant), sort_keys=True)

    def backbone_weights(self, variant: str = "") -> list[str]:
        """The localizer's initial weights where they are named by path."""
        weights = self.variants.config(variant).localizer.weights
        return [] if weights in ("imagenet", "none") else [str(weights)]

    def method_code(self, variant: str = "") -> str:
        """Hash of the code of the localizer's method."""
        method = self.variants.config(variant).localizer.method
        return code_hashes().get(f"method {method}", lambda: method_code(method))

    def offline_code(self, variant: str = "") -> str:
        """Hash of the code of the method's offline stage."""
        method = self.variants.config(variant).localizer.method
        return code_hashes().get(f"offline {method}", lambda: offline_code(method))

    def offline_files(self, variant: str = "") -> list[str]:
        """What the localizer's method needs before its training: one file, or none."""
        name = OFFLINE_FILES.get(self.variants.config(variant).localizer.method)
        return [self.place(f"localizer_offline/{name}", variant)] if name else []

    def offline_argument(self, variant: str = "") -> str:
        """The argument of the training that names `offline_files`."""
        return "".join(f"--offline {quoted(file)}" for file in self.offline_files(variant))

    def teacher(self, variant: str = "") -> str:
        """The SAM that teaches the localizer: settings as JSON and its weights; none but for s2c."""
        if self.variants.config(variant).localizer.method != "s2c":
            return "{}"
        return self.settings("sam", variant)

    def teacher_weights(self, variant: str = "") -> str:
        """What tells the teacher's weights from others'."""
        return self.sam_weights(variant) if self.teacher(variant) != "{}" else ""

    def checkpoint(self, variant: str = "") -> list[str]:
        """The SAM checkpoint that is named by path; none for those known by name."""
        checkpoint = self.variants.config(variant).sam.checkpoint
        return [str(checkpoint)] if checkpoint else []

    def window_image(self, name: str, variant: str = "") -> list[str]:
        """The image that SAM's windows are read of, for a scene or a block of it (`sam.window`); none for tiles.

        After it what is read with it.
        """
        if self.variants.config(variant).sam.window is None:
            return []
        return _with_companions(self.image(block_of(name)[0], variant))

    def window_argument(self, name: str, variant: str = "") -> str:
        """The argument of the encode stage that names that image."""
        return " ".join(f"--image {quoted(path)}" for path in self.window_image(name, variant)[:1])

    def sam_weights(self, variant: str = "") -> str:
        """What tells one SAM's weights from another's, by name and hash; a file given by path is an input."""
        sam = self.variants.config(variant).sam
        if sam.checkpoint:
            return sam.name
        if sam.name != "light":
            return f"{sam.name}:{PUBLISHED[f'sam_{sam.name}'].sha256[:DIGITS]}"
        return packaged_weights()


def _with_companions(path: Path | str) -> list[str]:
    return [str(path), *map(str, companions(Path(path)))]
