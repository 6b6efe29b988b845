# The only rules, beside the report, that read true masks of held-out tiles.
rule metrics_masks:
    input:
        truth=run.truth(run.measured),
        tiles=expand("<results>/tiles/{scene}.zarr.zip", scene=run.measured),
        masks=expand(
            "<results>/masks/{source}/{scene}.zarr.zip",
            source=SOURCES,
            scene=run.measured,
        ),
    output:
        figures=report(
            "<results>/metrics/pseudo_masks.json",
            caption="captions/metrics_masks.rst",
            category="Metrics",
        ),
    log:
        "<logs>/metrics_masks.log",
    benchmark:
        "<benchmarks>/metrics_masks.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        results=subpath(output.figures, ancestor=2),
        sources=" ".join(f"--source {source}" for source in SOURCES),
        scenes=run.sheet_arguments(),
        sheet=run.sheet(),
        code=command_hash("metrics", "metrics_masks"),
    message:
        "Measure the pseudo-masks"
    shell:
        "python scripts/metrics.py metrics-masks --results {params.results} {params.scenes} {params.sources}"
        " --output {output.figures} > {log} 2>&1"


rule metrics_maps:
    input:
        truth=run.truth(run.measured_held_out),
        tiles=expand("<results>/tiles/{scene}.zarr.zip", scene=run.measured_held_out),
        maps=[
            run.map_files(source, name)
            for source in TRAINED
            for name in run.measured_held_out
        ],
    output:
        figures=report(
            "<results>/metrics/resunet.json",
            caption="captions/metrics_maps.rst",
            category="Metrics",
        ),
    log:
        "<logs>/metrics_maps.log",
    benchmark:
        "<benchmarks>/metrics_maps.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        results=subpath(output.figures, ancestor=2),
        sources=" ".join(f"--source {source}" for source in TRAINED),
        scenes=run.sheet_arguments(),
        sheet=run.sheet(),
        code=command_hash("metrics", "metrics_maps"),
    message:
        "Measure the maps of the ResUNets"
    shell:
        "python scripts/metrics.py metrics-maps --results {params.results} {params.scenes} {params.sources}"
        " --output {output.figures} > {log} 2>&1"
