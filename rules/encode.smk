# The costly part, which depends on tiles and SAM alone: no threshold asks for it again.
rule encode:
    input:
        tiles="<results>/tiles/{scene}.zarr.zip",
        checkpoint=run.checkpoint(),
    output:
        embeddings="<results>/embeddings/{scene}.zarr.zip",
    log:
        "<logs>/encode/{scene}.log",
    benchmark:
        "<benchmarks>/encode/{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=1,
    params:
        settings=run.settings("sam"),
        weights=run.sam_weights(),
        code=command_hash("encode"),
        device=DEVICE,
    message:
        "Encode the positive tiles of {wildcards.scene} with SAM"
    shell:
        "python scripts/encode.py --tiles {input.tiles} --settings {params.settings:q}"
        " --device {params.device} --threads {threads} --output {output.embeddings} > {log} 2>&1"
