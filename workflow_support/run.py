"""A run: a checked configuration with its scenes, and where each of its files lies in the store."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from apsam.config import Config, parse_config
from apsam.errors import ConfigError, InputError
from apsam.protocol import protocol_of
from apsam.sam.weights_files import PACKAGED, weights_identity
from apsam.scenes import Scene, read_scene_sheet
from workflow_support.code import Code
from workflow_support.input_digests import InputDigests
from workflow_support.memory import Memory
from workflow_support.recipes import ALL, STORE, InputFile, Recipe, Ref, Section, SheetFile, Unkeyed
from workflow_support.scene_sets import SceneSets
from workflow_support.shared_ground import held_out_near
from workflow_support.stages import STAGES
from workflow_support.stages.self_training import SCENE_RESUNET
from workflow_support.stages.sources import GROUND, SELF_TRAINING, TRAINED

# Keys by section that name files, whose content counts, or that change no result of a job.
NOT_KEYED = {"sam": ("checkpoint",), "localizer": ("weights", "memory_mb"), "maps": ("scenes",)}
# Values of `localizer.weights` that name no file.
NO_FILE = ("imagenet", "none")
# Stages that only experiments ask for: their recipes may be of many variants, and take time to work out.
ASKED_FOR = {name for name in STAGES if name.startswith(("experiments/", "table1/"))}
# Keys that change no result.
NO_RESULT = {"device", "keep_embeddings"}


class Run(SceneSets):
    """One run: what a configuration means.

    A variant, with which experiments compare settings, is a run of its own (`variant`): it shares memory and store,
    and so every file whose recipe is the same.

    Args:
        config: Snakemake's merged configuration.
        origin: What to call the configuration in errors.

    Raises:
        ApsamError: A key, a value or the scene sheet is wrong.
    """

    def __init__(self, config: Mapping[str, Any], origin: str = "configuration", base: Run | None = None) -> None:
        self.config: Config = parse_config(config, origin)
        self.memory: Memory = base.memory if base else Memory()
        self.code: Code = base.code if base else Code(self.memory)
        self.given: InputDigests = base.given if base else InputDigests(self.memory)
        # Every recipe that was worked out, of this run and its variants: (stage, unit, key) -> recipe.
        self.known: dict[tuple[str, str, str], Recipe] = base.known if base else {}
        self._variants: dict[str, Run] = base._variants if base else {}
        self._recipes: dict[tuple[str, str], Recipe] = {}
        self._sections: dict[Section, tuple[str, str, dict[str, Any]]] = {}
        self.scenes: dict[str, Scene] = base.scenes if base else self._read_scenes()

    def _read_scenes(self) -> dict[str, Scene]:
        # Now, not when a job asks for it: jobs check that the sheet is the one read here.
        self.given.digest(self.config.scenes)
        return {s.name: s for s in read_scene_sheet(self.config.scenes, self.config.data_dir)}

    # Files

    def recipe(self, stage: str, unit: str = ALL) -> Recipe:
        """What a file of the run is made of."""
        if (stage, unit) not in self._recipes:
            recipe = Recipe(self, STAGES[stage], unit)
            self._recipes[stage, unit] = recipe
            self.known[stage, unit, recipe.key] = recipe
        return self._recipes[stage, unit]

    def path(self, ref: Ref) -> str:
        """Where a file of the run lies."""
        owner = self.variant(ref.changes) if ref.changes else self
        return owner.recipe(ref.stage, ref.unit).output(ref.output)

    def file(self, stage: str, unit: str = ALL, output: str = "") -> str:
        """Where an output lies, by default the first of the stage."""
        return self.recipe(stage, unit).output(output)

    def recipe_of(self, stage: str, unit: str, key: str) -> Recipe:
        """The recipe behind a path of the store.

        Raises:
            InputError: No recipe of this configuration, its variants and its experiments has this key.
        """
        if (stage, unit, key) not in self.known:
            self.recipe(stage, unit)
        if (stage, unit, key) not in self.known:
            # A job of an experiment, which parses the workflow for itself: work out the variants.
            for name in STAGES:
                if name.startswith("experiments/"):
                    self.recipe(name)
        if (stage, unit, key) not in self.known:
            raise InputError(
                f"{STORE}/{stage}/{unit}.{key}: no recipe of this configuration has this key. If a job says so, code, "
                f"settings or data were changed since the run started: start it again. Otherwise ask for a file by its "
                f"plain name, in {self.folder}/"
            )
        return self.known[stage, unit, key]

    @property
    def folder(self) -> str:
        """The view of the run."""
        return f"results/{self.config.run}"

    @cached_property
    def plain_names(self) -> dict[str, Ref]:
        """Every file that the run may have, by its plain name in the view."""
        found = {}
        for stage in STAGES.values():
            if stage.name.endswith("/bands"):
                continue
            for unit in stage.units(self):
                for output, file in stage.outputs.items():
                    found[f"{stage.plain_folder}/{file.format(unit=unit)}"] = Ref(stage.name, unit, output)
        return found

    def find(self, plain: str) -> Ref:
        """The file with a plain name.

        Raises:
            InputError: The run has no such file.
        """
        if plain not in self.plain_names:
            near = difflib.get_close_matches(plain, self.plain_names, 1)
            hint = f"; did you mean {self.folder}/{near[0]}?" if near else ""
            raise InputError(f"{self.folder}/{plain}: this run has no such file{hint}")
        return self.plain_names[plain]

    def view_files(self, also: Sequence[Ref] = ()) -> dict[str, str]:
        """Plain name -> path in the store, for the view (`workflow_support.view`).

        Args:
            also: Files that are to be in it although nothing of their stage is in the store yet.
        """
        stages = {name for name in STAGES if Path(STORE, name).is_dir() or name not in ASKED_FOR}
        named = {plain: ref for plain, ref in self.plain_names.items() if ref.stage in stages or ref in also}
        files = {plain: self.path(ref) for plain, ref in named.items()}
        for stage in STAGES.values():
            for folder in stage.folders:
                files[f"{stage.plain_folder}/{folder}/"] = f"{self.recipe(stage.name).folder}/{folder}"
        return files

    def exists(self, stage: str, unit: str = ALL) -> bool:
        """Whether all outputs of a stage are in the store."""
        return all(Path(path).exists() for path in self.recipe(stage, unit).outputs.values())

    def variant(self, changes: Mapping[str, Any]) -> Run:
        """This run with some keys changed.

        Args:
            changes: Dotted key -> value, for example {"localizer.method": "sipe", "seed": 2}.

        Raises:
            ConfigError: A key or a value is wrong.
        """
        values = self.config.model_dump(mode="json")
        for key, value in changes.items():
            _set(values, key, value)
        name = json.dumps([self.config.run, values], sort_keys=True)
        if values == self.config.model_dump(mode="json"):
            return self
        if name not in self._variants:
            changed = ", ".join(f"{key}: {value}" for key, value in sorted(changes.items()))
            self._variants[name] = Run(values, f"variant with {changed}", self)
        return self._variants[name]

    # Pseudo-masks

    @property
    def scene_wide(self) -> bool:
        """Whether there are scene-wide pseudo-masks."""
        return self.config.ground.masks == "scene"

    @property
    def trained(self) -> tuple[str, ...]:
        """The pseudo-masks that a ResUNet is trained on."""
        return (*TRAINED, *([GROUND] if self.scene_wide else []), *([SELF_TRAINING] if self.second_round else []))

    @property
    def second_round(self) -> bool:
        """Whether there is a second round of pseudo-masks."""
        return self.config.self_training.rounds == 2

    @property
    def tiles_second_round(self) -> bool:
        """Whether there is a second round, of masks of tiles."""
        return self.second_round and not self.scene_wide

    @property
    def scenes_second_round(self) -> bool:
        """Whether there is a second round, of scene-wide masks."""
        return self.second_round and self.scene_wide

    def resunet(self, source: str) -> Ref:
        """The ResUNet that learned a kind of pseudo-masks."""
        if source == SELF_TRAINING:
            return Ref(SCENE_RESUNET if self.scene_wide else f"{SELF_TRAINING}/resunet")
        return Ref(f"resunet/{source}")

    def learns_scenes(self, source: str) -> bool:
        """Whether the ResUNet of a kind of pseudo-masks is trained on scene-wide masks, not on masks of tiles."""
        return source == GROUND or (source == SELF_TRAINING and self.scene_wide)

    def decides(self, source: str) -> bool:
        """Whether the threshold of a map is that with the highest expected F1."""
        return self.learns_scenes(source) and self.config.ground.decision == "expected_f1"

    # Values of jobs' options

    def stack(self, stage: str, name: str) -> Ref:
        """The stack of a whole scene: its own, or the file that joins those of its blocks."""
        joined = f"{stage}/joined"
        return Ref(joined if self.blocks[name] > 1 and joined in STAGES else stage, name)

    def stacks(self, stage: str, names: Sequence[str]) -> list[Ref]:
        """The stacks of several scenes."""
        return [self.stack(stage, name) for name in names]

    def image(self, name: str) -> Ref | InputFile:
        """The image of a scene: given, or made by the workflow."""
        scene = self.scenes[name]
        return Ref("scenes", name, "image") if scene.image is None else InputFile(scene.image)

    def mask(self, name: str) -> Ref | InputFile | None:
        """The reference mask of a scene; None where there is none."""
        scene = self.scenes[name]
        if scene.kind == "synthetic":
            return Ref("scenes", name, "mask")
        return InputFile(scene.mask, scene.mask_layer) if scene.mask else None

    def shares_ground_with(self, name: str) -> list[Path]:
        """Held-out rasters whose ground a training scene must leave out (`split.shared_ground`)."""
        leave_out = self.config.split.shared_ground == "leave_out"
        return held_out_near(name, self.scenes, self.memory) if leave_out else []

    def sheet(self) -> dict[str, Any]:
        """The options that name the scene sheet; what it says counts by `rows`."""
        data_dir = self.config.data_dir
        return {
            "scenes": SheetFile(self.config.scenes),
            "data-dir": Unkeyed(str(data_dir)) if data_dir else None,
        }

    def reference(self, names: Sequence[str]) -> dict[str, Any]:
        """What a job reads of the reference masks of scenes, for `Job.also`."""
        rows = [f"{name}:{self.scenes[name].split}:{self.scenes[name].mask_values}" for name in names]
        given = [one for name in names for one in (self.image(name), self.mask(name)) if isinstance(one, InputFile)]
        return {"rows": rows, "reference": given}

    def synthetic_files(self, names: Sequence[str]) -> list[Ref]:
        """Images and masks of those scenes among `names` that the workflow makes."""
        made = [name for name in names if self.scenes[name].kind == "synthetic"]
        return [Ref("scenes", name, output) for name in made for output in ("image", "mask")]

    def map_refs(self, source: str, name: str) -> list[Ref]:
        """The maps of a scene: probability and mask, or for ready-made tiles an archive of their masks."""
        if self.scenes[name].kind == "folder":
            return [Ref(f"maps/{source}/tiles", name)]
        joined = "/joined" if self.bands[name] > 1 else ""
        probability, mask = (Ref(f"maps/{source}{joined}", name, output) for output in ("probability", "mask"))
        return [probability, Ref(f"maps/{source}/decided", name) if self.decides(source) else mask]

    def section(self, section: Section) -> str:
        """A section of the configuration as JSON, as the command gets it."""
        return self._section(section)[0]

    def keyed_section(self, section: Section) -> str:
        """A section as it counts in keys: files that it names count by content, not by path."""
        return self._section(section)[1]

    def section_values(self, section: Section) -> dict[str, Any]:
        """A section of the configuration as values of JSON."""
        return self._section(section)[2]

    def _section(self, section: Section) -> tuple[str, str, dict[str, Any]]:
        if section not in self._sections:
            name, keys = section
            whole = getattr(self.config, name)
            values = whole.decisive() if name == "tiles" else whole.model_dump(mode="json")
            if name == "products":
                values.pop("dem")
            if keys:
                values = {key: values[key] for key in keys}
            keyed = {key: value for key, value in values.items() if key not in NOT_KEYED.get(name, ())}
            self._sections[section] = json.dumps(values, sort_keys=True), json.dumps(keyed, sort_keys=True), values
        return self._sections[section]

    @property
    def sam_weights(self) -> list[str | InputFile]:
        """What tells the weights of SAM from others: a text, and the files whose content counts."""
        files, text = weights_identity(self.config.sam)
        return [text, *(self.code.packaged_sam() if file == PACKAGED else InputFile(file) for file in files)]

    @property
    def backbone_weights(self) -> str | InputFile:
        """What tells the initial weights of the localizer's backbone from others."""
        weights = self.config.localizer.weights
        return weights if weights in NO_FILE else InputFile(Path(weights))

    @property
    def device(self) -> Unkeyed:
        """Where jobs compute."""
        return Unkeyed(self.config.device)

    @property
    def protocol(self) -> str:
        """The protocol of the figures, which follows from the settings."""
        return protocol_of(self.config)

    def whole_configuration(self) -> str:
        """The configuration as JSON, without what changes no result."""
        return json.dumps(self.config.model_dump(mode="json", exclude=NO_RESULT), sort_keys=True)

    # Given data

    def all_given(self) -> list[Path]:
        """Files and folders that the user gave: of all scenes, elevations, checkpoints and weights."""
        scenes = [scene for scene in self.scenes.values() if scene.kind != "synthetic"]
        paths = [path for s in scenes for path in (s.image, s.labels, s.mask) if path is not None]
        weights = [one.path for one in (*self.sam_weights, self.backbone_weights) if isinstance(one, InputFile)]
        return list(dict.fromkeys([*paths, *([self.config.dem] if self.config.dem else []), *weights]))

    def given_digests(self) -> dict[str, str]:
        """Path -> digest of all given data."""
        return {str(path): self.given.digest(path) for path in self.all_given()}


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for part in above:
        if not isinstance(values.get(part), dict):
            raise ConfigError(f"a variant changes the key '{key}', which the configuration does not have")
        values = values[part]
    if last not in values:
        raise ConfigError(f"a variant changes the key '{key}', which the configuration does not have")
    values[last] = value
