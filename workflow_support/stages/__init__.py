"""The stages, in the order of the data: what each reads, which command it runs, what it makes.

This is the one place where that stands; each file here declares those of one subject. Keys, rule inputs, command lines,
dvc.yaml and provenance follow from it. How to read an entry: `workflow_support.recipes`. With how many threads and how
much memory a job runs stands in `rules/`.
"""

from workflow_support.stages import (
    experiments,
    ground,
    localizer,
    masks,
    metrics,
    report,
    resunet,
    self_training,
    suggestions,
    table1,
    tiles,
)

STAGES = {
    stage.name: stage
    for stage in (
        *tiles.STAGES,
        *localizer.STAGES,
        *ground.LABEL_STAGES,
        *localizer.CAMS,
        *masks.STAGES,
        *tiles.JOINED,
        *ground.MASK_STAGES,
        *resunet.NETWORK_STAGES,
        *self_training.STAGES,
        *resunet.MAP_STAGES,
        *resunet.PRODUCT_STAGES,
        *metrics.STAGES,
        *suggestions.STAGES,
        *experiments.STAGES,
        *table1.STAGES,
        *report.STAGES,
    )
}
