rule cams:
    input:
        inputs_of("cams"),
    output:
        **outputs_of("cams"),
    log:
        log_of("cams"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(3000),
        runtime=more(60),
        gpu=1,
    params:
        command=command_of("cams"),
    message:
        "Make the class activation maps of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"
