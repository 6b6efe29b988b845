# The paper's experiments, each a target. What they share is made once: one job a scene decodes all trials against the stored
# embeddings; what changes settings is a variant, which shares every file that the change leaves alone.
rule trials:
    input:
        inputs_of("trials"),
    output:
        **outputs_of("trials"),
    log:
        log_of("trials"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("trials"),
    message:
        "Decode the experiments' trials of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule tabulate:
    input:
        inputs_of("experiments/{table}"),
    output:
        **outputs_of(
            "experiments/{table}",
            {option: file.format(name="{table}") for option, file in FIGURE.items()},
            csv=shown(
                "experiments", "Experiments", experiment="{table}", kind="table"
            ),
            png=shown(
                "experiments", "Experiments", experiment="{table}", kind="figure"
            ),
        ),
    log:
        log_of("experiments/{table}"),
    wildcard_constraints:
        table="threshold_sweep|threshold_sweep_resunet|prompt_ablation|sam_size|seeds|released_effects|table1",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        command=command_of("experiments/{table}"),
    message:
        "Make table and figure of {wildcards.table}"
    shell:
        "{params.command} > {log} 2>&1"


rule compare_everything:
    input:
        inputs_of("experiments/everything_vs_apsam"),
    output:
        **outputs_of(
            "experiments/everything_vs_apsam",
            csv=shown(
                "experiments",
                "Experiments",
                experiment="everything_vs_apsam",
                kind="table",
            ),
            png=shown(
                "experiments",
                "Experiments",
                experiment="everything_vs_apsam",
                kind="figure",
            ),
        ),
    log:
        log_of("experiments/everything_vs_apsam"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("experiments/everything_vs_apsam"),
    message:
        "Compare full-image SAM with APSAM"
    shell:
        "{params.command} > {log} 2>&1"


rule measure_apsam:
    input:
        inputs_of("apsam_metrics"),
    output:
        **outputs_of("apsam_metrics"),
    log:
        log_of("apsam_metrics"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("apsam_metrics"),
    message:
        "Measure APSAM's pseudo-masks"
    shell:
        "{params.command} > {log} 2>&1"
