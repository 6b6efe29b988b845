rule localizer_scores:
    input:
        inputs_of("suggestions/localizer"),
    output:
        **outputs_of("suggestions/localizer"),
    log:
        log_of("suggestions/localizer"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=more(3000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("suggestions/localizer"),
    message:
        "Run the localizer on every tile of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule map_scores:
    input:
        inputs_of("suggestions/map"),
    output:
        **outputs_of("suggestions/map"),
    log:
        log_of("suggestions/map"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=more(3000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("suggestions/map"),
    message:
        "Run the ResUNet on every tile of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule suggestions:
    input:
        inputs_of("suggestions"),
    output:
        **outputs_of("suggestions"),
    log:
        log_of("suggestions"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("suggestions"),
    message:
        "Suggest tiles to label next and labels to check"
    shell:
        "{params.command} > {log} 2>&1"
