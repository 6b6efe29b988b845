rule report:
    input:
        rules.metrics.output,
    output:
        page="<results>/report/index.html",
    shell:
        "true"
