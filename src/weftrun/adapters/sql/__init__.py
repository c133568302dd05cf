"""What Journals on SQL databases share: the bytes of a row, what is asked, and statements that stand in `.sql` files.

The only folder of adapters that others may import from.
"""
