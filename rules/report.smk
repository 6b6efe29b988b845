rule report:
    input:
        metrics=METRICS,
        truth=run.truth(run.measured),
        cams=expand("<results>/cams/{scene}.zarr.zip", scene=run.names),
        prompts=expand("<results>/prompts/{scene}.json", scene=run.names),
        masks=expand(
            "<results>/masks/{source}/{scene}.zarr.zip",
            source=SOURCES,
            scene=run.names,
        ),
        histories=expand("<results>/resunet/{source}/history.json", source=TRAINED),
        maps=run.maps(TRAINED, run.mapped),
    output:
        page=report(
            "<results>/report/index.html",
            caption="captions/report.rst",
            category="Report",
            labels={"what": "the whole report, one file"},
        ),
        config="<results>/report/config.yaml",
        figures=(
            report(
                directory("<results>/report/figures"),
                patterns=["{figure}.png"],
                caption="captions/figures.rst",
                category="Report",
                labels={"what": "figure {figure}"},
            )
            if run.config.report.figures
            else []
        ),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(3000),
        runtime=more(60),
    params:
        run=subpath(output.page, ancestor=2),
        benchmarks=run.benchmarks,
        settings=run.whole_configuration(),
        sheet=sheet(run.measured),
        code=command_hash("report"),
        page=page_hash(),
        # Experiments that are there are shown, but not started: some take hours, and are asked for by name.
        experiments=run.experiments_made(),
    message:
        "Make the report"
    shell:
        "python scripts/report.py --run {params.run} --settings {params.settings:q}"
        " --benchmarks {params.benchmarks} --output {output.page} > {log} 2>&1"
