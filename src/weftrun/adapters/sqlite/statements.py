"""The statements of `statements.sql`, and the scripts of `schema/`, read once."""

from __future__ import annotations

from weftrun.adapters.sql.statements import read_schema, read_statements

SQL = read_statements(__package__, "statements.sql")
SCHEMA = read_schema(__package__)
