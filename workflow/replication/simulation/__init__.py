"""PDE data: solvers, simulated data sets, files in PDEBench's layout."""
