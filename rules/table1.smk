# Table 1 of the paper: every localization method is a variant of the run, with every seed; one protocol for all.
from workflow_support.table1 import Table1

table = Table1(run)


localrules:
    table1,
    masks_box,


# Tables and figures, so that one name makes them all.
rule table1:
    input:
        "<results>/experiments/table1.json",
        [f"<results>/experiments/table1_{kind}.json" for kind in table.figures()],


# Each tile's CAM, cut where SAM's masks agree best with it: the rule that sets APSAM's prompts sets this mask too.
rule masks_cam_agreed:
    input:
        tiles=at("tiles/{scene}.zarr.zip"),
        cams=at("cams/{scene}.zarr.zip"),
        masks=at("masks/apsam/{scene}.zarr.zip"),
    output:
        masks="<results>/{variant}masks/cam_agreed/{scene}.zarr.zip",
    log:
        "<logs>/{variant}masks_cam_agreed/{scene}.log",
    benchmark:
        "<benchmarks>/{variant}table1/masks_cam_agreed/{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        code=command_hash("table1", "masks_agreed"),
    message:
        "Cut the class activation maps of {wildcards.scene} where SAM agrees"
    shell:
        "python scripts/table1.py masks-agreed --tiles {input.tiles} --cams {input.cams} --masks {input.masks}"
        " --output {output.masks} > {log} 2>&1"


rule masks_box:
    input:
        tiles=at("tiles/{scene}.zarr.zip"),
    output:
        masks="<results>/{variant}masks/box/{scene}.zarr.zip",
    log:
        "<logs>/{variant}masks_box/{scene}.log",
    benchmark:
        "<benchmarks>/{variant}table1/masks_box/{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        code=command_hash("table1", "masks_box"),
    message:
        "Put a fixed box into the positive tiles of {wildcards.scene}"
    shell:
        "python scripts/table1.py masks-box --tiles {input.tiles} --output {output.masks} > {log} 2>&1"


# The upper bound: the one rule that gives true masks to a training.
rule masks_truth:
    input:
        truth=lambda wildcards: run.truth([wildcards.scene], wildcards.variant),
        tiles=at("tiles/{scene}.zarr.zip"),
    output:
        masks="<results>/{variant}masks/truth/{scene}.zarr.zip",
    log:
        "<logs>/{variant}masks_truth/{scene}.log",
    benchmark:
        "<benchmarks>/{variant}table1/masks_truth/{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        folders=of_variant(run.measured_folders, "masks", []),
        scenes=run.sheet_arguments(),
        sheet=lambda wildcards: run.sheet([wildcards.scene]),
        code=command_hash("table1", "masks_truth"),
    message:
        "Take the true masks of {wildcards.scene} for the upper bound"
    shell:
        "python scripts/table1.py masks-truth --scene {wildcards.scene} {params.scenes} {params.folders}"
        " --output {output.masks} > {log} 2>&1"


rule table1_masks:
    input:
        truth=of_variant(run.truth, table.mask_scenes),
        tiles=at("tiles/{scene}.zarr.zip", scene=table.mask_scenes),
        masks=at("masks/{source}/{scene}.zarr.zip", scene=table.mask_scenes),
    output:
        figures="<results>/{variant}table1/masks_{source}.json",
    log:
        "<logs>/{variant}table1/masks_{source}.log",
    benchmark:
        "<benchmarks>/{variant}table1/masks_{source}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        folders=lambda wildcards: run.measured_folders(
            "masks", [wildcards.source], wildcards.variant
        ),
        only=table.only_argument(),
        protocol=of_variant(run.protocol),
        scenes=run.sheet_arguments(),
        sheet=sheet(table.mask_scenes),
        code=command_hash("metrics", "metrics_masks"),
    message:
        "Measure the {wildcards.source} masks"
    shell:
        "python scripts/metrics.py metrics-masks {params.scenes} {params.folders}"
        " {params.only} --protocol {params.protocol} --output {output.figures} > {log} 2>&1"


rule table1_maps:
    input:
        truth=of_variant(run.truth, run.measured_held_out),
        tiles=at("tiles/{scene}.zarr.zip", scene=run.measured_held_out),
        maps=lambda wildcards: run.maps(
            [wildcards.source], run.measured_held_out, wildcards.variant
        ),
    output:
        figures="<results>/{variant}table1/maps_{source}.json",
    log:
        "<logs>/{variant}table1/maps_{source}.log",
    benchmark:
        "<benchmarks>/{variant}table1/maps_{source}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        folders=lambda wildcards: run.measured_folders(
            "maps", [wildcards.source], wildcards.variant
        ),
        protocol=of_variant(run.protocol),
        scenes=run.sheet_arguments(),
        sheet=sheet(run.measured_held_out),
        code=command_hash("metrics", "metrics_maps"),
    message:
        "Measure the maps of the ResUNet of the {wildcards.source} masks"
    shell:
        "python scripts/metrics.py metrics-maps {params.scenes} {params.folders}"
        " --protocol {params.protocol} --output {output.figures} > {log} 2>&1"


rule cam_oracle:
    input:
        truth=of_variant(run.truth, table.mask_scenes),
        tiles=at("tiles/{scene}.zarr.zip", scene=table.mask_scenes),
        cams=at("cams/{scene}.zarr.zip", scene=table.mask_scenes),
    output:
        figures="<results>/{variant}table1/cam_oracle.json",
    log:
        "<logs>/{variant}table1/cam_oracle.log",
    benchmark:
        "<benchmarks>/{variant}table1/cam_oracle.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(60),
    params:
        folders=of_variant(run.measured_folders, "masks", []),
        cams=of_variant(run.place, "cams"),
        thresholds=table.oracle_arguments(),
        only=table.only_argument(),
        protocol=of_variant(run.protocol),
        scenes=run.sheet_arguments(),
        sheet=sheet(table.mask_scenes),
        code=command_hash("table1", "cam_oracle"),
    message:
        "Measure the class activation maps at the cut that the truth would choose"
    shell:
        "python scripts/table1.py cam-oracle {params.scenes} {params.folders} --cams {params.cams}"
        " {params.thresholds} {params.only} --protocol {params.protocol} --output {output.figures} > {log} 2>&1"


# The same tiles by every method, as in the paper's Figs. 2 and 3.
rule compare_methods:
    input:
        lambda wildcards: table.shown_tiles(wildcards.kind),
        masks=lambda wildcards: table.shown_files(wildcards.kind),
    output:
        table=experiment_table("table1_{kind}", variant=""),
        more=experiment_files("table1_{kind}", variant=""),
    log:
        "<logs>/table1_{kind}.log",
    benchmark:
        "<benchmarks>/table1/compare_{kind}.tsv"
    wildcard_constraints:
        kind="masks|maps",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        folders=run.measured_folders("masks", []),
        compared=lambda wildcards: table.shown_arguments(wildcards.kind),
        protocol=run.protocol(),
        scenes=run.sheet_arguments(),
        sheet=lambda wildcards: run.sheet(table.shown_scenes(wildcards.kind)),
        code=command_hash("table1", "compare_methods"),
    message:
        "Show the same tiles by every localization method ({wildcards.kind})"
    shell:
        "python scripts/table1.py compare-methods --kind {wildcards.kind} {params.scenes} {params.folders}"
        " {params.compared} --protocol {params.protocol} --output {output.table} > {log} 2>&1"


rule tabulate_table1:
    input:
        list(table.files.values()),
    output:
        table=experiment_table("table1", variant=""),
        more=experiment_files("table1", variant=""),
    log:
        "<logs>/table1.log",
    benchmark:
        "<benchmarks>/table1/table1.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(15),
    params:
        measured=table.measured_arguments(),
        seconds=table.seconds_arguments(),
        dataset=run.config.run,
        code=command_hash("table1", "table1"),
    message:
        "Gather the table of localization methods"
    shell:
        "python scripts/table1.py table1 {params.measured} {params.seconds} --dataset {params.dataset}"
        " --output {output.table} > {log} 2>&1"
