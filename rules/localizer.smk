# What some methods need before their training (superpixels, cut-outs, SAM's segments, another classifier): a rule each, because
# each makes a file of its own name.
for method in OFFLINE_FILES:

    rule:
        name:
            f"localizer_offline_{method}"
        input:
            inputs_of(f"localizer/offline/{method}"),
        output:
            **outputs_of(f"localizer/offline/{method}"),
        log:
            log_of(f"localizer/offline/{method}"),
        conda:
            ENVIRONMENT
        threads: side_by_side(2)
        resources:
            mem_mb=more(4000),
            runtime=more(240),
            gpu=1,
        params:
            command=command_of(f"localizer/offline/{method}"),
        message:
            "Make what a localization method needs before its training"
        shell:
            "{params.command} > {log} 2>&1"


rule localizer:
    input:
        inputs_of("localizer"),
    output:
        **outputs_of("localizer"),
    log:
        log_of("localizer"),
    priority: NETWORK_FIRST
    conda:
        ENVIRONMENT
    threads: side_by_side(2)
    resources:
        mem_mb=more(4000),
        runtime=more(240),
        gpu=1,
    params:
        command=command_of("localizer"),
    message:
        "Train the localizer on image-level labels"
    shell:
        "{params.command} > {log} 2>&1"


# A job of its own, so that a further held-out scene trains nothing.
rule localizer_metrics:
    input:
        inputs_of("metrics/localizer"),
    output:
        **outputs_of("metrics/localizer"),
    log:
        log_of("metrics/localizer"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(60),
        gpu=1,
    params:
        command=command_of("metrics/localizer"),
    message:
        "Classify held-out tiles with the localizer"
    shell:
        "{params.command} > {log} 2>&1"
