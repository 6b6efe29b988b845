# Held-out scenes are mapped: `predict` a raster, `predict_tiles` a folder of ready-made tiles. A large raster is predicted
# in bands of rows, jobs of their own, with what reaches into a band from above it, so that the map is the same.
rule predict:
    input:
        inputs_of("maps/{source}"),
    output:
        **outputs_of("maps/{source}", STAGES["maps/apsam"].outputs),
    log:
        log_of("maps/{source}"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("maps/{source}"),
    message:
        "Map {wildcards.unit} with the ResUNet of the {wildcards.source} masks"
    shell:
        "{params.command} > {log} 2>&1"


rule predict_block:
    input:
        inputs_of("maps/{source}/bands"),
    output:
        **outputs_of(
            "maps/{source}/bands", STAGES["maps/apsam/bands"].outputs, output=temp
        ),
    log:
        log_of("maps/{source}/bands"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("maps/{source}/bands"),
    message:
        "Map a band of rows, {wildcards.unit}, with the ResUNet of the {wildcards.source} masks"
    shell:
        "{params.command} > {log} 2>&1"


rule predict_join:
    input:
        inputs_of("maps/{source}/joined"),
    output:
        **outputs_of("maps/{source}/joined", STAGES["maps/apsam/joined"].outputs),
    log:
        log_of("maps/{source}/joined"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
    params:
        command=command_of("maps/{source}/joined"),
    message:
        "Mosaic the map of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule predict_tiles:
    input:
        inputs_of("maps/{source}/tiles"),
    output:
        **outputs_of("maps/{source}/tiles", STAGES["maps/apsam/tiles"].outputs),
    log:
        log_of("maps/{source}/tiles"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("maps/{source}/tiles"),
    message:
        "Map the tiles of {wildcards.unit} with the ResUNet of the {wildcards.source} masks"
    shell:
        "{params.command} > {log} 2>&1"


rule predict_mask:
    input:
        inputs_of("maps/{source}/decided"),
    output:
        **outputs_of("maps/{source}/decided", STAGES["maps/ground/decided"].outputs),
    log:
        log_of("maps/{source}/decided"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        command=command_of("maps/{source}/decided"),
    message:
        "Threshold the map of {wildcards.unit} where its expected F1 is highest"
    shell:
        "{params.command} > {log} 2>&1"
