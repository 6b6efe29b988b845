rule synthesize:
    input:
        inputs_of("scenes"),
    output:
        **outputs_of("scenes"),
    log:
        log_of("scenes"),
    priority: NETWORK_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1500),
        runtime=more(15),
    params:
        command=command_of("scenes"),
    message:
        "Make the synthetic scene {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"
