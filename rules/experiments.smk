# The paper's experiments, each a target. What they share is made once: one job a scene decodes all trials against the
# stored embeddings; what changes settings is a variant, which shares every file that the change leaves alone.
from workflow_support.experiments import Experiments

experiments = Experiments(run)


localrules:
    threshold_sweep,
    prompt_ablation,


# Targets without wildcards, so that their names can be asked for.
rule threshold_sweep:
    input:
        "<results>/experiments/threshold_sweep.json",
        (
            "<results>/experiments/threshold_sweep_resunet.json"
            if experiments.retrained
            else []
        ),


rule prompt_ablation:
    input:
        "<results>/experiments/prompt_ablation.json",


rule trials:
    input:
        truth=lambda wildcards: run.truth([wildcards.scene], wildcards.variant),
        tiles=at("tiles/{scene}.zarr.zip"),
        cams=at("cams/{scene}.zarr.zip"),
        embeddings=at("embeddings/{scene}.zarr.zip"),
        # Behind the joined file of a scene in blocks stand these, which must not be deleted before they are read.
        blocks=lambda wildcards: blocks_at("embeddings/{unit}.zarr.zip", wildcards),
        checkpoint=of_variant(run.checkpoint),
    output:
        trials="<results>/{variant}experiments/trials/{scene}.zarr.zip",
    log:
        "<logs>/{variant}trials/{scene}.log",
    benchmark:
        "<benchmarks>/{variant}experiments/trials/{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        settings=experiments.trial_settings(),
        prompts=settings("prompts"),
        sam=settings("sam"),
        weights=of_variant(run.sam_weights),
        masks=settings("masks"),
        protocol=of_variant(run.protocol),
        scenes=run.sheet_arguments(),
        sheet=lambda wildcards: run.sheet([wildcards.scene]),
        synthetic=of_variant(run.place, "scenes"),
        code=command_hash("experiments", "trials"),
        device=DEVICE,
    message:
        "Decode the experiments' trials of {wildcards.scene}"
    shell:
        "python scripts/experiments.py trials --scene {wildcards.scene} --tiles {input.tiles} --cams {input.cams}"
        " --embeddings {input.embeddings} {params.scenes} --synthetic {params.synthetic}"
        " --settings {params.settings:q} --prompts {params.prompts:q} --sam {params.sam:q} --masks {params.masks:q}"
        " --protocol {params.protocol} --device {params.device} --threads {threads}"
        " --output {output.trials} > {log} 2>&1"


rule tabulate_thresholds:
    input:
        trials=at("experiments/trials/{scene}.zarr.zip", scene=run.measured),
    output:
        table=experiment_table("threshold_sweep"),
        more=experiment_files("threshold_sweep"),
    log:
        "<logs>/{variant}threshold_sweep.log",
    benchmark:
        "<benchmarks>/{variant}experiments/threshold_sweep.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        settings=experiments.trial_settings(),
        code=command_hash("experiments", "threshold_sweep"),
    message:
        "Tabulate and draw the sweep of CAM thresholds"
    shell:
        "python scripts/experiments.py threshold-sweep {input.trials} --settings {params.settings:q}"
        " --output {output.table} > {log} 2>&1"


rule tabulate_prompts:
    input:
        trials=at("experiments/trials/{scene}.zarr.zip", scene=run.measured),
    output:
        table=experiment_table("prompt_ablation"),
        more=experiment_files("prompt_ablation"),
    log:
        "<logs>/{variant}prompt_ablation.log",
    benchmark:
        "<benchmarks>/{variant}experiments/prompt_ablation.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        code=command_hash("experiments", "prompt_ablation"),
    message:
        "Tabulate what points, boxes and both do"
    shell:
        "python scripts/experiments.py prompt-ablation {input.trials} --output {output.table} > {log} 2>&1"


rule everything_vs_apsam:
    input:
        truth=run.truth(run.measured),
        tiles=expand("<results>/tiles/{scene}.zarr.zip", scene=run.measured),
        cams=expand("<results>/cams/{scene}.zarr.zip", scene=run.measured),
        prompts=expand("<results>/prompts/{scene}.json", scene=run.measured),
        embeddings=expand("<results>/embeddings/{scene}.zarr.zip", scene=run.measured),
        blocks=[
            run.place(f"embeddings/{unit}.zarr.zip")
            for name in run.measured
            for unit in run.units(name)
        ],
        masks=expand("<results>/masks/apsam/{scene}.zarr.zip", scene=run.measured),
        checkpoint=run.checkpoint(),
    output:
        table=experiment_table("everything_vs_apsam", variant=""),
        more=experiment_files("everything_vs_apsam", variant=""),
    log:
        "<logs>/everything_vs_apsam.log",
    benchmark:
        "<benchmarks>/experiments/everything_vs_apsam.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        results=subpath(output.table, ancestor=2),
        names=" ".join(f"--scene {name}" for name in run.measured),
        settings=experiments.everything_settings(),
        sam=run.settings("sam"),
        weights=run.sam_weights(),
        protocol=run.protocol(),
        scenes=run.sheet_arguments(),
        sheet=sheet(run.measured),
        code=command_hash("experiments", "everything_vs_apsam"),
        device=DEVICE,
    message:
        "Hold full-image SAM beside APSAM"
    shell:
        "python scripts/experiments.py everything-vs-apsam {params.names} --results {params.results} {params.scenes}"
        " --settings {params.settings:q} --sam {params.sam:q} --protocol {params.protocol}"
        " --device {params.device} --threads {threads} --output {output.table} > {log} 2>&1"


# APSAM's pseudo-masks alone: an experiment over many variants need not wait for the baselines.
rule measure_apsam:
    input:
        truth=of_variant(run.truth, run.measured),
        tiles=at("tiles/{scene}.zarr.zip", scene=run.measured),
        masks=at("masks/apsam/{scene}.zarr.zip", scene=run.measured),
    output:
        figures="<results>/{variant}experiments/pseudo_masks.json",
    log:
        "<logs>/{variant}measure_apsam.log",
    benchmark:
        "<benchmarks>/{variant}experiments/measure_apsam.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        folders=of_variant(run.measured_folders, "masks", ["apsam"]),
        protocol=of_variant(run.protocol),
        scenes=run.sheet_arguments(),
        sheet=sheet(run.measured),
        code=command_hash("metrics", "metrics_masks"),
    message:
        "Measure APSAM's pseudo-masks"
    shell:
        "python scripts/metrics.py metrics-masks {params.scenes} {params.folders}"
        " --protocol {params.protocol} --output {output.figures} > {log} 2>&1"


rule sam_size:
    input:
        experiments.files("sam_size"),
    output:
        table=experiment_table("sam_size", variant=""),
        more=experiment_files("sam_size", variant=""),
    log:
        "<logs>/sam_size.log",
    benchmark:
        "<benchmarks>/experiments/sam_size.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(15),
    params:
        measured=experiments.arguments("sam_size"),
        skipped=experiments.skipped_arguments(),
        code=command_hash("experiments", "sam_size"),
    message:
        "Compare SAMs of several sizes"
    shell:
        "python scripts/experiments.py sam-size {params.measured} {params.skipped} --output {output.table} > {log} 2>&1"


rule seeds:
    input:
        experiments.files("seeds"),
    output:
        table=experiment_table("seeds", variant=""),
        more=experiment_files("seeds", variant=""),
    log:
        "<logs>/seeds.log",
    benchmark:
        "<benchmarks>/experiments/seeds.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(15),
    params:
        measured=experiments.arguments("seeds"),
        code=command_hash("experiments", "seeds"),
    message:
        "Gather mean and spread over seeds"
    shell:
        "python scripts/experiments.py seeds {params.measured} --output {output.table} > {log} 2>&1"


rule released_effects:
    input:
        experiments.files("released_effects"),
    output:
        table=experiment_table("released_effects", variant=""),
        more=experiment_files("released_effects", variant=""),
    log:
        "<logs>/released_effects.log",
    benchmark:
        "<benchmarks>/experiments/released_effects.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(15),
    params:
        measured=experiments.arguments("released_effects"),
        code=command_hash("experiments", "released_effects"),
    message:
        "Gather what the released code's choices do"
    shell:
        "python scripts/experiments.py released-effects {params.measured} --output {output.table} > {log} 2>&1"


rule threshold_sweep_resunet:
    input:
        experiments.files("threshold_sweep_resunet"),
    output:
        table=experiment_table("threshold_sweep_resunet", variant=""),
        more=experiment_files("threshold_sweep_resunet", variant=""),
    log:
        "<logs>/threshold_sweep_resunet.log",
    benchmark:
        "<benchmarks>/experiments/threshold_sweep_resunet.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(15),
    params:
        measured=experiments.arguments("threshold_sweep_resunet"),
        code=command_hash("experiments", "threshold_sweep_resunet"),
    message:
        "Gather the ResUNets of every CAM threshold"
    shell:
        "python scripts/experiments.py threshold-sweep-resunet {params.measured} --output {output.table} > {log} 2>&1"
