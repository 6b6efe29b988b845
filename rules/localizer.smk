rule localizer:
    input:
        tiles=expand("<results>/tiles/{scene}.zarr.zip", scene=run.names),
        backbone=run.backbone_weights(),
    output:
        weights="<results>/localizer/weights.safetensors",
        history="<results>/localizer/history.json",
    log:
        "<logs>/localizer.log",
    benchmark:
        "<benchmarks>/localizer.tsv"
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=1,
    params:
        settings=run.settings("localizer"),
        seed=run.config.seed,
        code=command_hash("localizer"),
        device=DEVICE,
    message:
        "Train the localizer on image-level labels"
    shell:
        "python scripts/localizer.py {input.tiles} --settings {params.settings:q} --seed {params.seed}"
        " --device {params.device} --threads {threads}"
        " --output {output.weights} --history {output.history} > {log} 2>&1"
