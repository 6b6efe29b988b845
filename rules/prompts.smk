rule prompts:
    input:
        tiles=at("tiles/{scene}.zarr.zip"),
        cams=at("cams/{scene}.zarr.zip"),
    output:
        prompts="<results>/{variant}prompts/{scene}.json",
        geojson="<results>/{variant}prompts/{scene}.geojson",
    log:
        "<logs>/{variant}prompts/{scene}.log",
    benchmark:
        "<benchmarks>/{variant}prompts/{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        settings=settings("prompts"),
        code=command_hash("prompts"),
    message:
        "Make prompts of the class activation maps of {wildcards.scene}"
    shell:
        "python scripts/prompts.py --tiles {input.tiles} --cams {input.cams} --settings {params.settings:q}"
        " --output {output.prompts} --geojson {output.geojson} > {log} 2>&1"
