rule tile:
    input:
        unpack(lambda wildcards: run.tile_files(wildcards.unit, wildcards.variant)),
    output:
        tiles="<results>/{variant}tiles/{unit}.zarr.zip",
    log:
        "<logs>/{variant}tile/{unit}.log",
    benchmark:
        "<benchmarks>/{variant}tile/{unit}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1500),
        runtime=more(60),
    params:
        scene=lambda wildcards: run.tile_arguments(wildcards.unit, wildcards.variant),
        listing=lambda wildcards: run.listing(wildcards.unit),
        settings=settings("tiles"),
        labels=settings("labels"),
        split=settings("split"),
        code=command_hash("tile"),
    message:
        "Cut {wildcards.unit} into tiles"
    shell:
        "python scripts/tile.py {params.scene} --settings {params.settings:q} --label-settings {params.labels:q}"
        " --split-settings {params.split:q} --output {output.tiles} > {log} 2>&1"
