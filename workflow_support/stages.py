"""The stages, in the order of the data: what each reads, which command it runs, what it makes.

This is the one place where that stands. Keys, rule inputs, command lines, dvc.yaml and provenance follow from it. How
to read an entry: `workflow_support.recipes`. Who runs it with how many threads and how much memory stands in `rules/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from apsam.localizer.method_settings import OFFLINE_FILES
from apsam.tiles.blocks import block_of
from workflow_support.experiments import experiment_stages, tables_made
from workflow_support.ground import DECISION, LABEL_STAGES, MASK_STAGES, PROMPTS, label_map, one_ground
from workflow_support.ground import resunet as ground_resunet
from workflow_support.measuring import (
    GROUND,
    SOURCES,
    TRAINED,
    measured_maps,
    measured_masks,
    measured_objects,
    scene_wide,
    trained,
)
from workflow_support.recipes import ALL, FIGURE, STACK, Given, Job, Ref, Section, Stage, Unkeyed
from workflow_support.suggestions import SUGGESTION_STAGES, suggestions_file
from workflow_support.table1 import table1_stages

if TYPE_CHECKING:
    from workflow_support.run import Run

# Masks to compare with (Table 1).
REFERENCES = ("cam_agreed", "box", "truth")
NETWORKS = (*TRAINED, *REFERENCES, GROUND)
# Stages whose stacks a scene in blocks has joined.
IN_BLOCKS = ("tiles", "cams", "embeddings", *(f"masks/{source}" for source in SOURCES))


# Scenes and tiles


def scenes(run: Run, unit: str) -> Job:
    """A synthetic scene."""
    return Job({"scene": unit, "settings": Section("synthetic")})


def tiles(run: Run, unit: str) -> Job:
    """The tiles of a scene or block, with image-level labels."""
    name, number = block_of(unit)
    scene, count = run.scenes[name], run.blocks[name]
    if scene.labels is not None:
        labels: dict[str, Any] = {"labels": Given(scene.labels, scene.labels_layer)}
    else:
        labels = {"mask": run.mask(name), "mask-values": scene.mask_values}
    return Job(
        {
            "scene": name,
            "image": run.image(name),
            **labels,
            "split": scene.split,
            "block": f"{number}/{count}" if count > 1 else None,
            "held-out": [Given(path) for path in run.shares_ground_with(name)],
            "settings": Section("tiles"),
            "label-settings": Section("labels"),
            "split-settings": Section("split"),
        }
    )


# Localizer


def localizer_offline(run: Run, unit: str) -> Job:
    """What some localization methods need before their training."""
    teacher = run.config.localizer.method == "s2c"
    return Job(
        {
            "_": run.stacks("tiles", run.training),
            "settings": Section("localizer"),
            "sam": Section("sam") if teacher else None,
            "seed": run.config.seed,
            "device": run.device,
        },
        {
            "method": run.code.of_offline(run.config.localizer.method),
            "backbone": run.backbone_weights,
            "weights": run.sam_weights if teacher else None,
        },
    )


def localizer(run: Run, unit: str) -> Job:
    """The localizer, trained on the image-level labels of the training scenes."""
    method = run.config.localizer.method
    return Job(
        {
            "_": run.stacks("tiles", run.training),
            "offline": Ref(f"localizer/offline/{method}") if method in OFFLINE_FILES else None,
            "settings": Section("localizer"),
            "seed": run.config.seed,
            "device": run.device,
        },
        {"method": run.code.of_method(method), "backbone": run.backbone_weights},
    )


def localizer_metrics(run: Run, unit: str) -> Job:
    """How well the localizer tells held-out tiles apart."""
    return Job(
        {"_": run.stacks("tiles", run.held_out), "weights": Ref("localizer"), "device": run.device},
        {"method": run.code.of_method(run.config.localizer.method)},
    )


def cams(run: Run, unit: str) -> Job:
    """The class activation maps of a scene or block."""
    name = block_of(unit)[0]
    surroundings = run.config.cams.context > 0 and run.scenes[name].kind != "folder"
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "weights": Ref("localizer"),
            "settings": Section("cams"),
            "label-gate": run.config.label_gate,
            "ground": label_map(run, name),
            "image": run.image(name) if surroundings else None,
            "device": run.device,
        },
        {"method": run.code.of_method(run.config.localizer.method)},
    )


def prompts(run: Run, unit: str) -> Job:
    """Box and point prompts."""
    return Job({"tiles": Ref("tiles", unit), "cams": Ref("cams", unit), "settings": Section("prompts")})


# SAM and pseudo-masks


def embeddings(run: Run, unit: str) -> Job:
    """The output of SAM's image encoder: the costly part, which no threshold changes."""
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "settings": Section("sam"),
            "label-gate": run.config.label_gate,
            "image": run.image(block_of(unit)[0]) if run.config.sam.window else None,
            "device": run.device,
        },
        {"weights": run.sam_weights},
    )


def masks_apsam(run: Run, unit: str) -> Job:
    """Pseudo-masks by SAM with prompts."""
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "cams": Ref("cams", unit),
            "prompts": Ref("prompts", unit),
            "embeddings": Ref("embeddings", unit),
            "settings": Section("masks"),
            "sam": Section("sam"),
            "ground": label_map(run, block_of(unit)[0]),
            "device": run.device,
        },
        {"weights": run.sam_weights},
    )


def masks_cam(run: Run, unit: str) -> Job:
    """The CAM at a threshold: the baseline."""
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "cams": Ref("cams", unit),
            "settings": Section("cam_masks"),
            "ground": label_map(run, block_of(unit)[0]),
        }
    )


def masks_grabcut(run: Run, unit: str) -> Job:
    """GrabCut with the same prompts."""
    return Job(
        {
            "tiles": Ref("tiles", unit),
            "prompts": Ref("prompts", unit),
            "settings": Section("grabcut"),
            "ground": label_map(run, block_of(unit)[0]),
        }
    )


def masks_cam_agreed(run: Run, unit: str) -> Job:
    """Each tile's CAM at the threshold where SAM's masks agree best with it."""
    return Job(
        {
            "tiles": run.stack("tiles", unit),
            "cams": run.stack("cams", unit),
            "masks": run.stack("masks/apsam", unit),
        }
    )


def masks_box(run: Run, unit: str) -> Job:
    """A fixed box in positive tiles: the lower bound."""
    return Job({"tiles": run.stack("tiles", unit)})


def masks_truth(run: Run, unit: str) -> Job:
    """The reference masks: the upper bound. The one stage that gives them to a training."""
    return Job(
        {
            "scene": unit,
            **run.sheet(),
            "tiles": Unkeyed("@files/tiles"),
            "synthetic": Unkeyed("@files/scenes"),
            "files": [run.stack("tiles", unit), *run.synthetic_files([unit])],
        },
        run.reference([unit]),
    )


# Blocks of large scenes


def joined(stage: str) -> Callable[[Run, str], Job]:
    """The stacks of a scene's blocks as one."""
    return lambda run, unit: Job({"_": [Ref(stage, block) for block in run.units(unit)]})


def joined_prompts(run: Run, unit: str) -> Job:
    """The prompts of a scene's blocks as one file."""
    return Job({"_": [Ref("prompts", block) for block in run.units(unit)], "tiles": run.stack("tiles", unit)})


# ResUNet and maps


def resunet(source: str) -> Callable[[Run, str], Job]:
    """The ResUNet, trained on one kind of pseudo-masks."""

    def job(run: Run, unit: str) -> Job:
        pairs = [*run.stacks("tiles", run.training), *run.stacks(f"masks/{source}", run.training)]
        options = {"_": pairs, "settings": Section("resunet"), "seed": run.config.seed, "device": run.device}
        if run.config.resunet.keep == "last":
            return Job(options)
        reads = run.sheet() | {
            "synthetic": Unkeyed("@files/scenes"),
            "files": run.synthetic_files(run.measured_training),
        }
        return Job(options | reads, run.reference(run.measured_training))

    return job


def _mapping(run: Run, name: str, source: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": run.image(name),
        "weights": Ref(f"resunet/{source}"),
        "settings": Section("maps"),
        "tile-settings": Section("tiles"),
        "device": run.device,
    }


def maps(source: str) -> Callable[[Run, str], Job]:
    """The map of a raster scene."""
    return lambda run, unit: Job(_mapping(run, unit, source))


def bands(source: str) -> Callable[[Run, str], Job]:
    """A band of rows of the map of a large scene."""

    def job(run: Run, unit: str) -> Job:
        name, number = block_of(unit)
        return Job({**_mapping(run, name, source), "block": f"{number}/{run.bands[name]}"})

    return job


def mosaics(source: str) -> Callable[[Run, str], Job]:
    """The map of a large scene, put together from its bands."""

    def job(run: Run, unit: str) -> Job:
        parts = [Ref(f"maps/{source}/bands", f"{unit}.b{number:03d}") for number in range(1, run.bands[unit] + 1)]
        return Job({"_": parts, "name": unit, "image": run.image(unit), "settings": Section("maps")})

    return job


def tile_maps(source: str) -> Callable[[Run, str], Job]:
    """The masks of a folder of ready-made tiles."""

    def job(run: Run, unit: str) -> Job:
        options = _mapping(run, unit, source)
        return Job({"folder": options.pop("image"), **{k: v for k, v in options.items() if k != "name"}})

    return job


def products(source: str) -> Callable[[Run, str], Job]:
    """What people take away from a map: polygons with prompts and tiles, styles, a QGIS project, a STAC item."""

    def job(run: Run, unit: str) -> Job:
        scene, (probability, mask) = run.scenes[unit], run.map_refs(source, unit)
        return Job(
            {
                "name": unit,
                "image": run.image(unit),
                "probability": probability,
                "mask": mask,
                "tiles": run.stack("tiles", unit),
                "prompts": run.prompts(unit),
                "masks": run.stack("masks/apsam", unit),
                "settings": Section("products"),
                "dem": Given(run.config.dem) if run.config.dem else None,
                "date": scene.taken.isoformat() if scene.taken else None,
            }
        )

    return job


# Metrics and report


def pseudo_masks(run: Run, unit: str) -> Job:
    """Figures of all pseudo-masks."""
    return measured_masks(run, run.measured, SOURCES)


def map_metrics(run: Run, unit: str) -> Job:
    """Figures of the ResUNets' maps."""
    return measured_maps(run, run.measured_maps, trained(run), run.mapped == run.names)


def objects(run: Run, unit: str) -> Job:
    """Landslides of the ResUNets' maps that were found, missed or are false."""
    return measured_objects(run, _measured_rasters(run), trained(run))


def checks(run: Run, unit: str) -> Job:
    """What image-level labels and the maps say of each other: warnings, without any reference mask."""
    source, names = best_source(run), _rasters(run)
    refs = [run.map_refs(source, name) for name in names]
    return Job(
        {
            "_": [*run.stacks("tiles", names), *(probability for probability, _ in refs)],
            "mask": [mask for _, mask in refs],
        }
    )


def best_source(run: Run) -> str:
    """The pseudo-masks whose maps people take away first."""
    return GROUND if scene_wide(run) else TRAINED[0]


def summary(run: Run, unit: str) -> Job:
    """The figures that versions are compared by, in one flat table."""
    return Job({"masks": Ref("metrics/pseudo_masks"), "maps": Ref("metrics/maps")})


def report_files(run: Run) -> list[Ref]:
    """All that the report shows."""
    rasters = [name for name in run.mapped if run.scenes[name].kind != "folder"]
    return [
        *run.synthetic_files(run.names),
        *run.stacks("tiles", run.names),
        Ref("localizer"),
        Ref("localizer", ALL, "history"),
        *run.stacks("cams", run.names),
        *(run.prompts(name) for name in run.names),
        *(ref for source in SOURCES for ref in run.stacks(f"masks/{source}", run.names)),
        *(Ref(f"resunet/{source}", ALL, output) for source in trained(run) for output in ("output", "history")),
        *(ref for source in trained(run) for name in run.mapped for ref in run.map_refs(source, name)),
        *(Ref(f"maps/{source}/products", name, "+project") for source in trained(run) for name in rasters),
        Ref("metrics/pseudo_masks"),
        Ref("metrics/maps"),
        Ref("metrics/summary"),
        *(Ref(stage) for stage in ("metrics/localizer", "metrics/checks", "metrics/objects") if _listed(run, stage)),
        *suggestions_file(run),
    ]


def _listed(run: Run, stage: str) -> bool:
    return bool(STAGES[stage].units(run))


def report(run: Run, unit: str) -> Job:
    """The report of the run, with the tables of those experiments that are there."""
    tables = [Ref(f"experiments/{name}", ALL, output) for name in tables_made(run) for output in FIGURE]
    return Job(
        {
            "run": Unkeyed("@files"),
            "name": run.config.run,
            "settings": run.whole_configuration(),
            "files": [*report_files(run), *tables],
        },
        run.reference(run.measured) | {"page": run.code.of_page()},
    )


# Which units there are of a stage.


def _raster_maps(run: Run, in_bands: bool) -> list[str]:
    return [name for name in run.mapped if name in run.bands and (run.bands[name] > 1) is in_bands]


def _synthetic(run: Run) -> list[str]:
    return run.synthetic


def _units(run: Run) -> list[str]:
    return run.all_units


def _in_blocks(run: Run) -> list[str]:
    return [name for name, count in run.blocks.items() if count > 1]


def _whole(run: Run) -> list[str]:
    return _raster_maps(run, False)


def _in_bands(run: Run) -> list[str]:
    return _raster_maps(run, True)


def _bands(run: Run) -> list[str]:
    return [f"{name}.b{number:03d}" for name in _in_bands(run) for number in range(1, run.bands[name] + 1)]


def _folders(run: Run) -> list[str]:
    return [name for name in run.mapped if name not in run.bands]


def _rasters(run: Run) -> list[str]:
    return [name for name in run.mapped if name in run.bands]


def _measured_rasters(run: Run) -> list[str]:
    return [name for name in run.measured_maps if name in run.bands]


def _where_rasters(run: Run) -> list[str]:
    return [ALL] if _rasters(run) else []


def _where_measured_rasters(run: Run) -> list[str]:
    return [ALL] if _measured_rasters(run) else []


def _where_held_out(run: Run) -> list[str]:
    return [ALL] if run.held_out else []


def _names(run: Run) -> list[str]:
    return run.names


def _measured(run: Run) -> list[str]:
    return run.measured


def _where_scene_wide(units: Callable[[Run], Sequence[str]]) -> Callable[[Run], Sequence[str]]:
    return lambda run: units(run) if scene_wide(run) else []


def _of_method(method: str) -> Callable[[Run], list[str]]:
    return lambda run: [ALL] if run.config.localizer.method == method else []


def _masks() -> list[Stage]:
    jobs = {"apsam": masks_apsam, "cam": masks_cam, "grabcut": masks_grabcut}
    made = [
        Stage(
            f"masks/{source}", {"output": STACK}, f"masks.py masks-{source}", f"masks:masks_{source}", jobs[source],
            units=_units,
        )
        for source in SOURCES
    ]  # fmt: skip
    references = {
        "cam_agreed": ("masks_agreed", masks_cam_agreed, _names),
        "box": ("masks_box", masks_box, _names),
        "truth": ("masks_truth", masks_truth, _measured),
    }
    for source, (command, job, units) in references.items():
        script = f"table1.py {command.replace('_', '-')}"
        made.append(Stage(f"masks/{source}", {"output": STACK}, script, f"table1:{command}", job, units=units))
    return made


def _networks() -> list[Stage]:
    files = {"output": "weights.safetensors", "history": "history.json"}
    of_tiles = [Stage(f"resunet/{source}", files, "resunet.py", "resunet", resunet(source)) for source in NETWORKS[:-1]]
    of_scenes = Stage(
        f"resunet/{GROUND}", files, "ground.py resunet-scenes", "ground:resunet_scenes", ground_resunet,
        units=one_ground,
    )  # fmt: skip
    return [*of_tiles, of_scenes]


def _maps() -> list[Stage]:
    raster = {"probability": "{unit}_probability.tif", "mask": "{unit}_mask.tif"}
    made = []
    for source in NETWORKS:
        view = f"maps/{source}"
        of = {
            view: (raster, "predict_scene", maps(source), view, _whole),
            f"maps/{source}/bands": ({"output": "{unit}.tif"}, "predict_block", bands(source), f"{view}/bands", _bands),
            f"maps/{source}/joined": (raster, "predict_join", mosaics(source), view, _in_bands),
            f"maps/{source}/tiles": ({"masks": "{unit}.zip"}, "predict_tiles", tile_maps(source), view, _folders),
        }
        for name, (outputs, command, job, folder, units) in of.items():
            script = f"predict.py {command.replace('_', '-')}"
            units = _where_scene_wide(units) if source == GROUND else units
            made.append(Stage(name, outputs, script, f"predict:{command}", job, folder, units=units))
    return made


def _products() -> list[Stage]:
    outputs = {
        "geopackage": "{unit}.gpkg",
        "+project": "{unit}.qgs",
        "+item": "{unit}.stac.json",
        "+probability_style": "{unit}_probability.qml",
        "+mask_style": "{unit}_mask.qml",
        "+picture": "{unit}_image.tif",
    }
    return [
        Stage(
            f"maps/{source}/products", outputs, "products.py", "products", products(source), f"maps/{source}",
            units=_where_scene_wide(_rasters) if source == GROUND else _rasters,
        )
        for source in (*TRAINED, GROUND)
    ]  # fmt: skip


def _joined() -> list[Stage]:
    stacks = [
        Stage(
            f"{name}/joined", {"output": STACK}, "join.py join-stacks", "join:join_stacks", joined(name), name,
            units=_in_blocks,
        )
        for name in IN_BLOCKS
    ]  # fmt: skip
    prompt_files = Stage(
        "prompts/joined", PROMPTS, "join.py join-prompts", "join:join_prompts", joined_prompts, "prompts",
        units=_in_blocks,
    )  # fmt: skip
    return [*stacks, prompt_files]


SCENE = {"image": "{unit}.tif", "mask": "{unit}_mask.tif"}
TRAINED_LOCALIZER = {"output": "weights.safetensors", "history": "history.json"}
PAGE = {"output": "index.html", "+config": "config.yaml"}


def _metrics(
    name: str,
    file: str,
    command: str,
    job: Callable[[Run, str], Job],
    units: Callable[[Run], Sequence[str]] = lambda run: [ALL],
) -> Stage:
    script = f"metrics.py {command.replace('_', '-')}"
    return Stage(name, {"output": file}, script, f"metrics:{command}", job, "metrics", units=units)


LISTED = [
    Stage("scenes", SCENE, "synthesize.py", "synthesize", scenes, units=_synthetic),
    Stage("tiles", {"output": STACK}, "tile.py", "tile", tiles, units=_units),
    *(
        Stage(
            f"localizer/offline/{method}", {"output": file}, "localizer_offline.py", "localizer_offline",
            localizer_offline, "localizer_offline", units=_of_method(method),
        )
        for method, file in OFFLINE_FILES.items()
    ),
    Stage("localizer", TRAINED_LOCALIZER, "localizer.py", "localizer", localizer),
    _metrics("metrics/localizer", "localizer.json", "metrics_localizer", localizer_metrics, _where_held_out),
    *LABEL_STAGES,
    Stage("cams", {"output": STACK}, "cams.py", "cams", cams, units=_units),
    Stage("prompts", PROMPTS, "prompts.py", "prompts", prompts, units=_units),
    Stage("embeddings", {"output": STACK}, "encode.py", "encode", embeddings, units=_units),
    *_masks(),
    *_joined(),
    *MASK_STAGES,
    *_networks(),
    *_maps(),
    DECISION,
    *_products(),
    _metrics("metrics/pseudo_masks", "pseudo_masks.json", "metrics_masks", pseudo_masks),
    _metrics("metrics/maps", "resunet.json", "metrics_maps", map_metrics),
    _metrics("metrics/summary", "summary.json", "metrics_summary", summary),
    _metrics("metrics/checks", "checks.json", "metrics_checks", checks, _where_rasters),
    _metrics("metrics/objects", "objects.json", "metrics_objects", objects, _where_measured_rasters),
    *SUGGESTION_STAGES,
    *experiment_stages(_measured),
    *table1_stages(),
    Stage("report", PAGE, "report.py", "report", report, folders=("figures",)),
]  # fmt: skip
STAGES = {stage.name: stage for stage in LISTED}
