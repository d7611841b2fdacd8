# Spectra: the empirical spectral densities of trained weights, from the saved model.


rule spectra:
    input:
        metrics=RUN + "/metrics.json",
        initial=RUN + "/initial_eigenvalues.npz",
        weights=RUN + "/model.safetensors",
    output:
        layers=RUN + "/layers.csv",
        eigenvalues=RUN + "/eigenvalues.npz",
    log:
        LOGS + "/spectra/{experiment}/{model}/{dataset}/{ratio}/{method}/{run}.log",
    wildcard_constraints:
        run=r"seed=[0-9]+",
    params:
        folder=lambda wildcards: f"{RESULTS}/{run_path(wildcards)}",
    message:
        "Spectra of {wildcards.model} on {wildcards.dataset}, ratio {wildcards.ratio}, {wildcards.method}, {wildcards.run}"
    shell:
        "tempbalance spectra {params.folder:q} 2> {log:q}"
