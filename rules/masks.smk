# Three ways to a pseudo-mask: SAM with prompts, the CAM alone, GrabCut with the same prompts.
rule masks_apsam:
    input:
        inputs_of("masks/apsam"),
    output:
        **outputs_of("masks/apsam"),
    log:
        log_of("masks/apsam"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("masks/apsam"),
    message:
        "Segment {wildcards.unit} with SAM and its prompts"
    shell:
        "{params.command} > {log} 2>&1"


rule masks_cam:
    input:
        inputs_of("masks/cam"),
    output:
        **outputs_of("masks/cam"),
    log:
        log_of("masks/cam"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        command=command_of("masks/cam"),
    message:
        "Threshold the class activation maps of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule masks_grabcut:
    input:
        inputs_of("masks/grabcut"),
    output:
        **outputs_of("masks/grabcut"),
    log:
        log_of("masks/grabcut"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(60),
    params:
        command=command_of("masks/grabcut"),
    message:
        "Run GrabCut with the prompts of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"
