# Spectra: exponents of every layer, at the end of each run and along its training, of the runs that an experiment shows.


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
        "Exponents of the runs of {wildcards.experiment}"
    script:
        "../scripts/spectra.py"
