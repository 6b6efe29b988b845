# The default run: snakemake --cores all        What would run: snakemake --dry-run        Targets: workflow_support/targets.py
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
include: "rules/ground.smk"
include: "rules/heatmaps.smk"
include: "rules/cams.smk"
include: "rules/encode.smk"
include: "rules/prompts.smk"
include: "rules/masks.smk"
include: "rules/join.smk"
include: "rules/self_training.smk"
include: "rules/resunet.smk"
include: "rules/predict.smk"
include: "rules/products.smk"
include: "rules/metrics.smk"
include: "rules/experiments.smk"
include: "rules/table1.smk"
include: "rules/suggest.smk"
include: "rules/report.smk"


# Targets: the default, names for the parts of a run and for its experiments, and any file of the view. Each ends with the
# view of the run (workflow_support/view.py), which takes a fraction of a second and says where to look.
for target, refs in TARGETS.items():

    rule:
        name:
            target
        default_target: target == "all"
        input:
            wanted(refs),
        log:
            f"logs/view/{target}.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            **view(refs),
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
    log:
        "logs/view/{file}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=lambda wildcards: run.folder,
        files=lambda wildcards: run.view_files([run.find(wildcards.file)]),
        given=lambda wildcards: run.given_digests(),
        started=STARTED,
    message:
        UPDATE_VIEW
    script:
        "scripts/view.py"
