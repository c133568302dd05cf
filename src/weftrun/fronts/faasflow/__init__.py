"""FaaSFlow's workflows (ASPLOS'22), with functions in files beside them, run unchanged.

`reading` with `flat`, `hierarchy` or `wfformat` makes a `plan.Plan` of a file, in the process of whoever starts the
Run; `calls` runs it, in Sandboxes, and imports none of them. For DataFlower (FaaSFlow v2) `blocks` makes a
`dataflow.DataPlan`, and `block_calls` runs it.
"""
