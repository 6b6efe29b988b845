rule synthesize:
    message:
        "Make the synthetic scene {wildcards.scene}"
    output:
        image="<results>/scenes/{scene}.tif",
        mask="<results>/scenes/{scene}_mask.tif",
    params:
        settings=run.settings("synthetic"),
        code=command_hash("synthesize"),
    log:
        "<logs>/synthesize/{scene}.log",
    benchmark:
        "<benchmarks>/synthesize/{scene}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=15,
    conda:
        ENVIRONMENT
    shell:
        "python scripts/synthesize.py --scene {wildcards.scene} --settings {params.settings:q}"
        " --image {output.image} --mask {output.mask} > {log} 2>&1"
