rule tile:
    input:
        inputs_of("tiles"),
    output:
        **outputs_of("tiles"),
    log:
        log_of("tiles"),
    priority: NETWORK_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1500),
        runtime=more(60),
    params:
        command=command_of("tiles"),
    message:
        "Cut {wildcards.unit} into tiles"
    shell:
        "{params.command} > {log} 2>&1"
