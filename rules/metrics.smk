# The only rules, beside experiments and report, that read reference masks of held-out tiles.
rule metrics_masks:
    input:
        inputs_of("pseudo_masks"),
    output:
        **outputs_of("pseudo_masks", output=shown("metrics_masks", "Metrics")),
    log:
        log_of("pseudo_masks"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("pseudo_masks"),
    message:
        "Measure the pseudo-masks"
    shell:
        "{params.command} > {log} 2>&1"


rule metrics_maps:
    input:
        inputs_of("map_metrics"),
    output:
        **outputs_of("map_metrics", output=shown("metrics_maps", "Metrics")),
    log:
        log_of("map_metrics"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("map_metrics"),
    message:
        "Measure the maps of the ResUNets"
    shell:
        "{params.command} > {log} 2>&1"


rule metrics_summary:
    input:
        inputs_of("summary"),
    output:
        **outputs_of("summary"),
    log:
        log_of("summary"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(500),
        runtime=more(10),
    params:
        command=command_of("summary"),
    message:
        "Put the figures that versions are compared by into one table"
    shell:
        "{params.command} > {log} 2>&1"
