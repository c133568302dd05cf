"""The Journal on PostgreSQL, through psycopg (extra `postgres`).

SQL stands in `.sql` files: `schema/` makes and migrates the tables and the functions that commit rows, and
`statements.sql` is all that is said to them.
"""
