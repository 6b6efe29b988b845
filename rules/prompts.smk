rule prompts:
    input:
        tiles=at("tiles/{unit}.zarr.zip"),
        cams=at("cams/{unit}.zarr.zip"),
    output:
        prompts="<results>/{variant}prompts/{unit}.json",
        geojson="<results>/{variant}prompts/{unit}.geojson",
    log:
        "<logs>/{variant}prompts/{unit}.log",
    benchmark:
        "<benchmarks>/{variant}prompts/{unit}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        settings=settings("prompts"),
        code=command_hash("prompts"),
    message:
        "Make prompts of the class activation maps of {wildcards.unit}"
    shell:
        "python scripts/prompts.py --tiles {input.tiles} --cams {input.cams} --settings {params.settings:q}"
        " --output {output.prompts} --geojson {output.geojson} > {log} 2>&1"
