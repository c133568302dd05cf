"""Completion in shells: the scripts that ask for it, and the answers."""

from __future__ import annotations

import os
import shlex
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    shell_complete,
    split_arg_string,
)

VARIABLE = "_WEFTRUN_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
_END = "\0"
_BASH = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == *= ]] && compopt -o nospace
                ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@add_completion_class
class Bash(BashComplete):
    """Completion in bash, which takes a word apart at colons and equals signs and wants only what comes after them."""

    source_template = _BASH

    def source(self) -> str:
        """Return the script."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words before the cursor, and what there is of the one at it."""
        *words, last = split_arg_string(os.environ.get("COMP_LINE", "") + _END)
        return words[1:], last.rstrip(_END)

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return a value as it stands on a command line, less what bash takes for a word of its own."""
        if item.type != "plain":
            return super().format_completion(item)
        breaks = set(os.environ.get("COMP_WORDBREAKS", "")) & set(":=")
        _, incomplete = self.get_completion_args()
        done = max((incomplete.rfind(mark) + 1 for mark in breaks), default=0)
        value = item.value[done:] if item.value.startswith(incomplete[:done]) else item.value
        return f"plain,{value if value.endswith('=') else shlex.quote(value)}"


def completed(commands: click.Command, instruction: str) -> int:
    """Print what can stand next, as a shell's script asks for it; return the exit code."""
    return shell_complete(commands, {}, "weftrun", VARIABLE, instruction)


def script(commands: click.Command, shell: str) -> str:
    """Return the script that lets a shell complete."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"click completes nothing in {shell}")
    return kind(commands, {}, "weftrun", VARIABLE).source()
