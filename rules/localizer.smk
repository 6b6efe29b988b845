rule localizer:
    input:
        tiles=at("tiles/{scene}.zarr.zip", scene=run.names),
        backbone=of_variant(run.backbone_weights),
    output:
        weights="<results>/{variant}localizer/weights.safetensors",
        history="<results>/{variant}localizer/history.json",
    log:
        "<logs>/{variant}localizer.log",
    benchmark:
        "<benchmarks>/{variant}localizer.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=1,
    params:
        settings=settings("localizer"),
        seed=of_variant(run.seed),
        code=command_hash("localizer"),
        device=DEVICE,
    message:
        "Train the localizer on image-level labels"
    shell:
        "python scripts/localizer.py {input.tiles} --settings {params.settings:q} --seed {params.seed}"
        " --device {params.device} --threads {threads}"
        " --output {output.weights} --history {output.history} > {log} 2>&1"
