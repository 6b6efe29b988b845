rule tile:
    input:
        unpack(lambda wildcards: run.tile_files(wildcards.scene, wildcards.variant)),
    output:
        tiles="<results>/{variant}tiles/{scene}.zarr.zip",
    log:
        "<logs>/{variant}tile/{scene}.log",
    benchmark:
        "<benchmarks>/{variant}tile/{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        scene=lambda wildcards: run.tile_arguments(wildcards.scene, wildcards.variant),
        listing=lambda wildcards: run.listing(wildcards.scene),
        settings=settings("tiles"),
        labels=settings("labels"),
        split=settings("split"),
        code=command_hash("tile"),
    message:
        "Cut {wildcards.scene} into tiles"
    shell:
        "python scripts/tile.py {params.scene} --settings {params.settings:q} --label-settings {params.labels:q}"
        " --split-settings {params.split:q} --output {output.tiles} > {log} 2>&1"
