"""Trials: all prompts of the experiments, decoded once with a scene's stored embeddings and counted.

Threshold sweep and prompt ablation differ only in the prompts. So one job per scene loads SAM once, reads
the stored embeddings once, and writes the counts of every trial and tile; tables, selections and curves are
sums of these, without encoding images or decoding prompts again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from apsam.experiments.settings import ExperimentSettings
from apsam.ground.gate import GroundGate
from apsam.masks.stack import NO_DATA, same_tiles
from apsam.metrics.counts import Counts
from apsam.metrics.pseudo_masks import as_released
from apsam.metrics.scene import MeasuredScene, TileReferenceMasks
from apsam.prompts.generate import TilePrompts, binarize, tile_prompts
from apsam.prompts.settings import PromptSettings
from apsam.protocol import HELD_OUT
from apsam.sam.batches import decode_batch
from apsam.sam.registry import build_sam
from apsam.sam.segment import PromptSetResult, decode_prompt_sets, read_scene
from apsam.sam.settings import MasksSettings, SamSettings
from apsam.stack import TileStack, TileStackWriter

PROMPT_KINDS = ("points", "boxes", "both")
# Both, and the CAM as SAM's mask prompt (`masks.cam_mask`): not in the paper.
WITH_CAM = "both_cam"
CAM = "cam"


@dataclass(frozen=True)
class Trial:
    """One way to make a pseudo-mask: kind of prompts (`points`, `boxes`, `both`, `both_cam`; `cam`: thresholded CAM)
    and the CAM threshold."""

    kind: str
    threshold: int


def plan_trials(prompts: PromptSettings, masks: MasksSettings, settings: ExperimentSettings) -> list[Trial]:
    """Return every trial that an experiment reads, each once.

    The sweep uses the run's kind of prompts at every threshold, the ablation every kind at the run's own
    threshold (or its candidates).
    """
    own = prompts.thresholds()
    swept = sorted({*own, *settings.thresholds})
    kinds = [*prompt_kinds(masks), CAM]
    return [Trial(kind, t) for kind in kinds for t in (swept if kind in (masks.prompts, CAM) else own)]


def prompt_kinds(masks: MasksSettings) -> tuple[str, ...]:
    """Return kinds of prompts for SAM; all of them include the CAM if the run itself does."""
    return PROMPT_KINDS if masks.cam_mask else (*PROMPT_KINDS, WITH_CAM)


def _settings_of(kind: str, masks: MasksSettings) -> MasksSettings:
    changed = {"prompts": "both", "cam_mask": True} if kind == WITH_CAM else {"prompts": kind}
    return masks.model_copy(update=changed)


def make_trials(
    measured: MeasuredScene,
    cams: Path,
    embeddings: Path,
    prompts: PromptSettings,
    sam: SamSettings,
    masks: MasksSettings,
    settings: ExperimentSettings,
    output: Path,
    protocol: str = HELD_OUT,
    device: str = "auto",
    ground: Path | None = None,
) -> None:
    """Write the trials of one scene.

    Arrays over the scene's tiles, S trials: counts (S, 4) int32 of TP, FP, FN, TN; agreement (S,) float32, soft IoU
    of SAM's probability and the CAM; predicted_iou (S,) float32, by SAM; prompts (S,) int16, how many; cam () uint8,
    whether the tile has a CAM; part () uint8. The attribute `trials` names the S trials.

    Args:
        measured: The scene, with its reference mask, which is used only for counting.
        cams: Its CAM stack.
        embeddings: Its embedding stack, made with the same SAM.
        prompts, sam, masks, settings: Sections of the configuration.
        output: The stack to make.
        protocol: Stored with the counts.
        device: `auto`, `cpu`, `cuda`.
        ground: Label map of the scene, to exclude pixels in negative tiles, as in the masks.

    Raises:
        InputError: Embeddings of another SAM, stacks of different runs, or a reference mask that cannot be read.
    """
    trials = plan_trials(prompts, masks, settings)
    place = {trial: index for index, trial in enumerate(trials)}
    model = build_sam(sam, device=device)
    batch = decode_batch(masks.batch, model.device, model.embedding_shape)
    with (
        TileReferenceMasks(measured) as reference,
        TileStack(measured.tiles) as stack,
        same_tiles(measured.tiles, cams) as maps,
        GroundGate(measured.tiles, ground) as possible,
    ):
        found = _empty(len(stack), len(trials), reference.part)
        counter = _Counter(stack, reference, possible, found["counts"], masks.join == "add")
        entries = _prompt_entries(maps, trials, prompts, found["cam"])
        for empty in np.flatnonzero(found["cam"] == 0):
            counter.count(int(empty), None, slice(None))
        for part, images, cam in read_scene(model, embeddings, cams, entries):
            answers: dict[int, list[tuple[int, PromptSetResult]]] = {entry.tile: [] for entry in part}
            for kind in prompt_kinds(masks):
                asked = _settings_of(kind, masks)
                for of_tile in decode_prompt_sets(model, images, _of_kind(part, kind, place), cam, asked, batch):
                    for answer in of_tile:
                        answers[answer.tile].append((place[Trial(kind, int(answer.threshold))], answer))
            for entry, tile_cam in zip(part, cam, strict=True):
                tile = entry.tile
                for index, answer in answers[tile]:
                    counter.count(tile, answer.overlap_count, index)
                    found["agreement"][tile, index] = answer.agreement
                    found["predicted_iou"][tile, index] = answer.iou
                number = {each.threshold: len(each.prompts) for each in entry.sets}
                for index, trial in enumerate(trials):
                    if trial.kind == CAM:
                        counter.count(tile, binarize(tile_cam, trial.threshold), index)
                    else:
                        found["prompts"][tile, index] = number[trial.threshold]
        attributes = {
            "scene": stack.attributes["scene"],
            "protocol": protocol,
            "trials": [asdict(trial) for trial in trials],
            "own": {"kind": masks.prompts, "thresholds": list(prompts.thresholds())},
            "checkpoint": model.checkpoint_hash,
        }
        specs = {name: (values.shape[1:], str(values.dtype)) for name, values in found.items()}
        with TileStackWriter(output, attributes, specs) as writer:
            writer.append(**found)


def _empty(tiles: int, trials: int, part: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "counts": np.zeros((tiles, trials, 4), np.int32),
        "agreement": np.zeros((tiles, trials), np.float32),
        "predicted_iou": np.zeros((tiles, trials), np.float32),
        "prompts": np.zeros((tiles, trials), np.int16),
        "cam": np.zeros(tiles, np.uint8),
        "part": part.astype(np.uint8),
    }


def _prompt_entries(
    maps: TileStack, trials: Sequence[Trial], settings: PromptSettings, has_cam: np.ndarray
) -> list[TilePrompts]:
    """Return prompts of every tile that has a CAM, at every threshold of any trial, made as in the prompt stage."""
    thresholds = tuple(sorted({trial.threshold for trial in trials}))
    entries = []
    for start, batch in maps.batches(("cam",), 256):
        for offset in np.flatnonzero(batch["cam"].any(axis=(1, 2))):
            has_cam[start + offset] = 1
            entries.append(tile_prompts(int(start + offset), batch["cam"][offset], settings, thresholds))
    return entries


def _of_kind(part: Sequence[TilePrompts], kind: str, place: Mapping[Trial, int]) -> list[TilePrompts]:
    """Return the entries with only the sets of this kind of trial."""
    return [replace(entry, sets=tuple(s for s in entry.sets if Trial(kind, s.threshold) in place)) for entry in part]


class _Counter:
    """Count masks of tiles against the reference mask, which is read once per tile."""

    def __init__(
        self, stack: TileStack, reference: TileReferenceMasks, possible: GroundGate, counts: np.ndarray, added: bool
    ) -> None:
        self.stack, self.reference, self.possible, self.counts, self.added = stack, reference, possible, counts, added
        self._tile = -1

    def count(self, tile: int, overlap_count: np.ndarray | None, trial: int | slice) -> None:
        """Count one mask: (h, w), number of prompts with the pixel in their mask, landslide if above 0; None: empty."""
        if self.reference.part_name(tile) is None:
            return
        if tile != self._tile:
            self._tile, self._there = tile, self.reference.tile(tile)
            self._valid = self.stack.read("valid", tile, tile + 1)[0] > 0
            self._possible = self.possible.of([tile])[0]
        overlap_count = np.zeros(self._there.shape, np.uint8) if overlap_count is None else overlap_count
        overlap_count = overlap_count * self._possible
        guess = np.where(self._valid, overlap_count > 0, NO_DATA).astype(np.uint8)
        counts = Counts.of(as_released(guess, overlap_count) if self.added else guess, self._there)
        self.counts[tile, trial] = (counts.tp, counts.fp, counts.fn, counts.tn)
