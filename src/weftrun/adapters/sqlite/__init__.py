"""The Journal and the trace on SQLite, through apsw, which brings a current SQLite with it.

SQL stands in `.sql` files: `schema/` makes and migrates the file, `statements.sql` is all that is said to it later.
"""
