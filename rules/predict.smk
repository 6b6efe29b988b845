# Held-out scenes are mapped: `predict` a raster, `predict_tiles` a folder of ready-made tiles. A large raster is predicted
# in bands of rows, jobs of their own, with what reaches into a band from above it, so that the map is the same.
rule predict:
    input:
        inputs_of("maps/{source}"),
    output:
        **outputs_of("maps/{source}", STAGES["maps/apsam"].outputs),
    log:
        log_of("maps/{source}"),
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
        inputs_of("bands/{source}"),
    output:
        **outputs_of("bands/{source}", STAGES["bands/apsam"].outputs, output=temp),
    log:
        log_of("bands/{source}"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("bands/{source}"),
    message:
        "Map a band of rows, {wildcards.unit}, with the ResUNet of the {wildcards.source} masks"
    shell:
        "{params.command} > {log} 2>&1"


rule predict_join:
    input:
        inputs_of("mosaics/{source}"),
    output:
        **outputs_of("mosaics/{source}", STAGES["mosaics/apsam"].outputs),
    log:
        log_of("mosaics/{source}"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
    params:
        command=command_of("mosaics/{source}"),
    message:
        "Put the map of {wildcards.unit} together"
    shell:
        "{params.command} > {log} 2>&1"


rule predict_tiles:
    input:
        inputs_of("tile_maps/{source}"),
    output:
        **outputs_of("tile_maps/{source}", STAGES["tile_maps/apsam"].outputs),
    log:
        log_of("tile_maps/{source}"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("tile_maps/{source}"),
    message:
        "Map the tiles of {wildcards.unit} with the ResUNet of the {wildcards.source} masks"
    shell:
        "{params.command} > {log} 2>&1"
