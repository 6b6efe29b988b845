# The costly part, which depends on tiles and SAM alone: no threshold asks for it again.
rule encode:
    input:
        inputs_of("embeddings"),
    output:
        **outputs_of(
            "embeddings",
            output=lambda path: path if run.config.keep_embeddings else temp(path),
        ),
    log:
        log_of("embeddings"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(8000),
        runtime=more(240),
        gpu=1,
    params:
        command=command_of("embeddings"),
    message:
        "Encode the positive tiles of {wildcards.unit} with SAM (2 MB each with an official SAM, less with the light one)"
    shell:
        "{params.command} > {log} 2>&1"
