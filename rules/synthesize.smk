rule synthesize:
    output:
        image="<results>/{variant}scenes/{scene}.tif",
        mask="<results>/{variant}scenes/{scene}_mask.tif",
    log:
        "<logs>/{variant}synthesize/{scene}.log",
    benchmark:
        "<benchmarks>/{variant}synthesize/{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1500),
        runtime=more(15),
    params:
        settings=settings("synthetic"),
        code=command_hash("synthesize"),
    message:
        "Make the synthetic scene {wildcards.scene}"
    shell:
        "python scripts/synthesize.py --scene {wildcards.scene} --settings {params.settings:q}"
        " --image {output.image} --mask {output.mask} > {log} 2>&1"
