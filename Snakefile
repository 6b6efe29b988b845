# The default run: snakemake --cores all        What would run: snakemake --dry-run        Targets: at the end
# Other settings: --configfile config/NAME.yaml, or edit config.yaml. Keys are checked before anything runs.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/provenance.smk"
# In the order of the data.
include: "rules/synthesize.smk"
include: "rules/inventory.smk"
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


# Targets: the default, and names for the parts of a run.
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


rule all:
    default_target: True
    input:
        rules.report.output,
        "<results>/metrics/summary.json",
        run.inventory,
        maps=run.maps(TRAINED, run.mapped),
        products=run.products(TRAINED, run.mapped),


rule all_scenes:
    input:
        [file for name in run.synthetic for file in (run.image(name), run.mask(name))],
        run.inventory,


rule all_tiles:
    input:
        expand("<results>/tiles/{scene}.zarr.zip", scene=run.names),


rule all_cams:
    input:
        expand("<results>/cams/{scene}.zarr.zip", scene=run.names),


rule all_prompts:
    input:
        expand("<results>/prompts/{scene}.json", scene=run.names),


rule all_embeddings:
    input:
        expand("<results>/embeddings/{scene}.zarr.zip", scene=run.names),


rule all_masks:
    input:
        expand(
            "<results>/masks/{source}/{scene}.zarr.zip",
            source=SOURCES,
            scene=run.names,
        ),


rule all_networks:
    input:
        expand("<results>/resunet/{source}/weights.safetensors", source=TRAINED),


rule all_maps:
    input:
        rules.all.input.maps,
        rules.all.input.products,


rule all_metrics:
    input:
        METRICS,
        "<results>/metrics/summary.json",
