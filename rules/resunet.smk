rule resunet:
    input:
        inputs_of("resunet/{source}"),
    output:
        **outputs_of("resunet/{source}", STAGES["resunet/apsam"].outputs),
    log:
        log_of("resunet/{source}"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: side_by_side(len(run.trained) - run.second_round)
    resources:
        mem_mb=more(8000),
        runtime=more(720),
        gpu=1,
    params:
        command=command_of("resunet/{source}"),
    message:
        "Train the ResUNet on the {wildcards.source} masks"
    shell:
        "{params.command} > {log} 2>&1"
