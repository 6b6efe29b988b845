# These rules read the reference masks of held-out tiles, as do experiments, report and products; `metrics_checks` reads none.
rule metrics_masks:
    input:
        inputs_of("metrics/pseudo_masks"),
    output:
        **outputs_of("metrics/pseudo_masks", output=shown("metrics_masks", "Metrics")),
    log:
        log_of("metrics/pseudo_masks"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("metrics/pseudo_masks"),
    message:
        "Measure the pseudo-masks"
    shell:
        "{params.command} > {log} 2>&1"


rule metrics_maps:
    input:
        inputs_of("metrics/maps"),
    output:
        **outputs_of("metrics/maps", output=shown("metrics_maps", "Metrics")),
    log:
        log_of("metrics/maps"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("metrics/maps"),
    message:
        "Measure the maps of the ResUNets"
    shell:
        "{params.command} > {log} 2>&1"


rule metrics_summary:
    input:
        inputs_of("metrics/summary"),
    output:
        **outputs_of("metrics/summary"),
    log:
        log_of("metrics/summary"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(500),
        runtime=more(10),
    params:
        command=command_of("metrics/summary"),
    message:
        "Put the figures that versions are compared by into one table"
    shell:
        "{params.command} > {log} 2>&1"


rule metrics_objects:
    input:
        inputs_of("metrics/objects"),
    output:
        **outputs_of("metrics/objects", output=shown("metrics_objects", "Metrics")),
    log:
        log_of("metrics/objects"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("metrics/objects"),
    message:
        "Count landslides that the maps found, missed or added"
    shell:
        "{params.command} > {log} 2>&1"


rule metrics_checks:
    input:
        inputs_of("metrics/checks"),
    output:
        **outputs_of("metrics/checks"),
    log:
        log_of("metrics/checks"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        command=command_of("metrics/checks"),
    message:
        "Check the maps against the image-level labels"
    shell:
        "{params.command} > {log} 2>&1"
