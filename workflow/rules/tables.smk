# Tables: the records of runs, one row each, and the paper's tables made from them.


rule collect:
    input:
        records=lambda wildcards: run_files(wildcards.experiment, "metrics.json"),
        layers=lambda wildcards: run_files(wildcards.experiment, "layers.csv"),
        history=lambda wildcards: run_files(wildcards.experiment, "history.csv"),
        spectra=lambda wildcards: run_files(wildcards.experiment, "spectra.csv"),
    output:
        runs=f"{RESULTS}/{{experiment}}/runs.csv",
        layers=f"{RESULTS}/{{experiment}}/layers.csv",
        history=f"{RESULTS}/{{experiment}}/history.csv",
        spectra=f"{RESULTS}/{{experiment}}/spectra.csv",
    log:
        f"{LOGS}/collect/{{experiment}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("collect"),
    message:
        "Collect the runs of {wildcards.experiment}"
    script:
        "../scripts/collect.py"
