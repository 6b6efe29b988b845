rule tile:
    input:
        unpack(lambda wildcards: run.tile_files(wildcards.scene)),
    output:
        tiles="<results>/tiles/{scene}.zarr.zip",
    log:
        "<logs>/tile/{scene}.log",
    benchmark:
        "<benchmarks>/tile/{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        scene=lambda wildcards: run.tile_arguments(wildcards.scene),
        listing=lambda wildcards: run.listing(wildcards.scene),
        settings=run.settings("tiles"),
        labels=run.settings("labels"),
        split=run.settings("split"),
        code=command_hash("tile"),
    message:
        "Cut {wildcards.scene} into tiles"
    shell:
        "python scripts/tile.py {params.scene} --settings {params.settings:q} --label-settings {params.labels:q}"
        " --split-settings {params.split:q} --output {output.tiles} > {log} 2>&1"
