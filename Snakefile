# The default run: snakemake --cores all        What would run: snakemake --dry-run        Targets: below
# Other settings: --configfile config/NAME.yaml, or edit config.yaml. Keys are checked before anything runs.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
# In the order of the data.
include: "rules/synthesize.smk"
include: "rules/tile.smk"
include: "rules/localizer.smk"
include: "rules/cams.smk"
include: "rules/encode.smk"
include: "rules/prompts.smk"
include: "rules/masks.smk"
include: "rules/join.smk"
include: "rules/resunet.smk"
include: "rules/predict.smk"
include: "rules/products.smk"
include: "rules/metrics.smk"
include: "rules/experiments.smk"
include: "rules/table1.smk"
include: "rules/report.smk"


# Targets: the default, names for the parts of a run and for its experiments, and any file of the view. Each ends with the
# view of the run (workflow_support/view.py), which takes a fraction of a second and says where to look.
localrules:
    all,
    all_scenes,
    all_tiles,
    all_cams,
    all_prompts,
    all_embeddings,
    all_masks,
    all_networks,
    all_maps,
    all_metrics,
    threshold_sweep,
    prompt_ablation,
    everything_vs_apsam,
    sam_size,
    seeds,
    released_effects,
    table1,
    view_file,


rule all:
    default_target: True
    input:
        wanted(everything("scenes", *MAPS, *METRICS, "report")),
    params:
        **view(everything("scenes", *MAPS, *METRICS, "report")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule all_scenes:
    input:
        wanted(everything("scenes")),
    params:
        **view(everything("scenes")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule all_tiles:
    input:
        wanted(everything("tiles", "joined/tiles")),
    params:
        **view(everything("tiles", "joined/tiles")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule all_cams:
    input:
        wanted(everything("cams", "joined/cams")),
    params:
        **view(everything("cams", "joined/cams")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule all_prompts:
    input:
        wanted(everything("prompts", "joined/prompts")),
    params:
        **view(everything("prompts", "joined/prompts")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule all_embeddings:
    input:
        wanted(everything("embeddings", "joined/embeddings")),
    params:
        **view(everything("embeddings", "joined/embeddings")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule all_masks:
    input:
        wanted(everything(*MASKS, *(f"joined/{stage}" for stage in MASKS))),
    params:
        **view(everything(*MASKS, *(f"joined/{stage}" for stage in MASKS))),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule all_networks:
    input:
        wanted(everything("localizer", *(f"resunet/{source}" for source in TRAINED))),
    params:
        **view(everything("localizer", *(f"resunet/{source}" for source in TRAINED))),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule all_maps:
    input:
        wanted(everything(*MAPS)),
    params:
        **view(everything(*MAPS)),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule all_metrics:
    input:
        wanted(everything(*METRICS)),
    params:
        **view(everything(*METRICS)),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule threshold_sweep:
    input:
        wanted(sweep_tables),
    params:
        **view(sweep_tables),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule prompt_ablation:
    input:
        wanted(everything("experiments/prompt_ablation")),
    params:
        **view(everything("experiments/prompt_ablation")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule everything_vs_apsam:
    input:
        wanted(everything("experiments/everything_vs_apsam")),
    params:
        **view(everything("experiments/everything_vs_apsam")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule sam_size:
    input:
        wanted(everything("experiments/sam_size")),
    params:
        **view(everything("experiments/sam_size")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule seeds:
    input:
        wanted(everything("experiments/seeds")),
    params:
        **view(everything("experiments/seeds")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule released_effects:
    input:
        wanted(everything("experiments/released_effects")),
    params:
        **view(everything("experiments/released_effects")),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


rule table1:
    input:
        wanted(table1_refs),
    params:
        **view(table1_refs),
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"


# A plain file name, `results/demo/maps/apsam/valley_mask.tif`. profiles/default lets it run whenever it is asked for: that
# the file is there does not say which configuration it is of.
rule view_file:
    input:
        lambda wildcards: ancient(run.path(run.find(wildcards.file))),
    output:
        update(f"{run.folder}/{{file}}"),
    params:
        folder=run.folder,
        files=lambda wildcards: run.view_files([run.find(wildcards.file)]),
        started=STARTED,
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"
