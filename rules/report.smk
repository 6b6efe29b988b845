rule report:
    input:
        inputs_of("report"),
    output:
        **outputs_of(
            "report",
            output=shown("report", "Report", what="the whole report, one file"),
        ),
        figures=(
            report(
                directory(f"{STORE}/report/{{unit}}.{{key}}/figures"),
                patterns=["{figure}.png"],
                caption="captions/figures.rst",
                category="Report",
                labels={"what": "figure {figure}"},
            )
            if run.config.report.figures
            else []
        ),
    log:
        log_of("report"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(3000),
        runtime=more(60),
    params:
        command=command_of("report"),
    message:
        "Make the report"
    shell:
        "{params.command} > {log} 2>&1"
