rule cams:
    input:
        tiles=at("tiles/{unit}.zarr.zip"),
        weights=at("localizer/weights.safetensors"),
    output:
        cams="<results>/{variant}cams/{unit}.zarr.zip",
    log:
        "<logs>/{variant}cams/{unit}.log",
    benchmark:
        "<benchmarks>/{variant}cams/{unit}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(3000),
        runtime=more(60),
        gpu=1,
    params:
        settings=settings("cams"),
        gate=of_variant(run.label_gate),
        code=command_hash("cams"),
        method_code=of_variant(run.method_code),
        device=DEVICE,
    message:
        "Make the class activation maps of {wildcards.unit}"
    shell:
        "python scripts/cams.py --tiles {input.tiles} --weights {input.weights} --settings {params.settings:q} {params.gate}"
        " --device {params.device} --threads {threads} --output {output.cams} > {log} 2>&1"
