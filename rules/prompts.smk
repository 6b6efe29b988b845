rule prompts:
    input:
        inputs_of("prompts"),
    output:
        **outputs_of("prompts"),
    log:
        log_of("prompts"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        command=command_of("prompts"),
    message:
        "Make prompts from the class activation maps of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"
