"""FaaSFlow's workflows (ASPLOS'22): `flat_workflow.yaml` with functions in files beside it, run unchanged.

`reading` and `flat` make a `plan.Plan` of a file, in the process of whoever starts the Run; `calls` runs it, in
Sandboxes, and imports neither.
"""
