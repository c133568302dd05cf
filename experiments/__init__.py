"""The experiments of the papers that weftrun grows from, made anew: `python -m experiments PAPER/NAME`."""
