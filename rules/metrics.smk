# The only rules, beside the report, that read true masks of held-out tiles.
rule metrics_masks:
    input:
        truth=of_variant(run.truth, run.measured),
        tiles=at("tiles/{scene}.zarr.zip", scene=run.measured),
        masks=at("masks/{source}/{scene}.zarr.zip", source=SOURCES, scene=run.measured),
    output:
        figures=report(
            "<results>/{variant}metrics/pseudo_masks.json",
            caption="captions/metrics_masks.rst",
            category="Metrics",
        ),
    log:
        "<logs>/{variant}metrics_masks.log",
    benchmark:
        "<benchmarks>/{variant}metrics_masks.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        folders=of_variant(run.measured_folders, "masks", SOURCES),
        protocol=of_variant(run.protocol),
        scenes=run.sheet_arguments(),
        sheet=sheet(run.measured),
        code=command_hash("metrics", "metrics_masks"),
    message:
        "Measure the pseudo-masks"
    shell:
        "python scripts/metrics.py metrics-masks {params.scenes} {params.folders}"
        " --protocol {params.protocol} --output {output.figures} > {log} 2>&1"


rule metrics_maps:
    input:
        truth=of_variant(run.truth, run.measured_maps),
        tiles=at("tiles/{scene}.zarr.zip", scene=run.measured_maps),
        maps=of_variant(run.maps, TRAINED, run.measured_maps),
    output:
        figures=report(
            "<results>/{variant}metrics/resunet.json",
            caption="captions/metrics_maps.rst",
            category="Metrics",
        ),
    log:
        "<logs>/{variant}metrics_maps.log",
    benchmark:
        "<benchmarks>/{variant}metrics_maps.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        folders=of_variant(run.measured_folders, "maps", TRAINED),
        training="--training-scenes" if run.mapped == run.names else "",
        protocol=of_variant(run.protocol),
        scenes=run.sheet_arguments(),
        sheet=sheet(run.measured_maps),
        code=command_hash("metrics", "metrics_maps"),
    message:
        "Measure the maps of the ResUNets"
    shell:
        "python scripts/metrics.py metrics-maps {params.scenes} {params.folders}"
        " {params.training} --protocol {params.protocol} --output {output.figures} > {log} 2>&1"


rule metrics_summary:
    input:
        masks=at("metrics/pseudo_masks.json"),
        maps=at("metrics/resunet.json"),
    output:
        summary="<results>/{variant}metrics/summary.json",
    log:
        "<logs>/{variant}metrics_summary.log",
    benchmark:
        "<benchmarks>/{variant}metrics_summary.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(500),
        runtime=more(10),
    params:
        code=command_hash("metrics", "metrics_summary"),
    message:
        "Put the figures that versions are compared by into one table"
    shell:
        "python scripts/metrics.py metrics-summary --masks {input.masks} --maps {input.maps}"
        " --output {output.summary} > {log} 2>&1"
