# Spectra: exponents of every layer, during and at the end of training, of the runs that an experiment shows.


rule spectra:
    input:
        runs=f"{RESULTS}/{{experiment}}/runs.csv",
        layers=lambda wildcards: shown_files(wildcards.experiment, "layers.csv"),
        spectra=lambda wildcards: shown_files(wildcards.experiment, "spectra.csv"),
    output:
        layers=f"{RESULTS}/{{experiment}}/layers.csv",
        spectra=f"{RESULTS}/{{experiment}}/spectra.csv",
    log:
        f"{LOGS}/spectra/{{experiment}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("spectra"),
    params:
        results=results_folder,
    message:
        "Collect the exponents of {wildcards.experiment}"
    script:
        "../scripts/spectra.py"
