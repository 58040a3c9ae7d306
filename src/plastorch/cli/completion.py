"""``plastorch completion bash | zsh | fish``: a script for completion in the shell."""

from dataclasses import fields
from typing import Any, Literal, get_type_hints

import tyro

from plastorch.cli.parse import parse

Shell = Literal["bash", "zsh", "fish"]

BASH = """_plastorch() {{
  local words="" before="" i
  for ((i = 1; i < COMP_CWORD; i++)); do before+=" ${{COMP_WORDS[i]}}"; done
  case "${{before# }}" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _plastorch plastorch"""
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
FISH = """function __plastorch_after
  set -l words (commandline -opc)
  string match -q -- "$argv" "$words[2..-1]"
end"""


def completion(arguments: list[str]) -> int:
    """Runs ``plastorch completion SHELL``."""

    def options(shell: tyro.conf.Positional[Shell]) -> Shell:
        """Prints a script that lets a shell complete commands, names and options.

        Example: plastorch completion bash >> ~/.bashrc

        Args:
            shell: bash, zsh or fish.
        """
        return shell

    shell = parse(options, "plastorch completion", arguments)
    print(_fish(_words()) if shell == "fish" else _bash(_words(), shell))
    return 0


def _words() -> dict[str, list[str]]:
    """Returns the words that may follow each start of a command; a star matches any more words."""
    from plastorch.bench import groups
    from plastorch.cli import COMMANDS
    from plastorch.cli.files import VERBS
    from plastorch.cli.run import RunOptions
    from plastorch.cli.sweep import SweepOptions, grid_of
    from plastorch.data import CATALOG
    from plastorch.experiments.registry import experiments, resolved
    from plastorch.hebbian.pretrained import cards

    words = {
        "": list(COMMANDS),
        "help": list(COMMANDS),
        "run": list(experiments()),
        "sweep": list(experiments()),
        "files": list(VERBS),
        "data": ["status", "get"],
        "data get": list(CATALOG),
        "data status*": ["--data"],
        "list*": ["--data"],
        "bench": [*groups(), "--out"],
        "models": list(cards()),
        "completion": ["bash", "zsh", "fish"],
    }
    for name, experiment in experiments().items():
        config = resolved(experiment.config)
        words[f"run {name}"] = _options(RunOptions) + _options(config)
        words[f"run {name} *"] = words[f"run {name}"]
        words[f"sweep {name}"] = _options(SweepOptions) + _options(grid_of(config))
        words[f"sweep {name} *"] = words[f"sweep {name}"]
    for verb, (of_verb, _, _) in VERBS.items():
        words[f"files {verb}*"] = _options(of_verb)
    return words


def _options(settings: type[Any]) -> list[str]:
    """Returns the command-line options of a settings dataclass."""
    hints, plain = get_type_hints(settings, include_extras=True), get_type_hints(settings)
    names = [field.name for field in fields(settings)]
    positional: Any = tyro.conf.Positional
    named = [name for name in names if hints[name] != positional[plain[name]]]
    return [f"--{_renamed(hints[name]) or name.replace('_', '-')}" for name in named]


def _renamed(hint: Any) -> str | None:
    """Returns the name that a setting's annotation gives its option, if any."""
    found = (getattr(part, "name", None) for part in getattr(hint, "__metadata__", ()))
    return next(filter(None, found), None)


def _bash(words: dict[str, list[str]], shell: Shell) -> str:
    cases = "\n".join(
        f'    "{before.rstrip("*")}"{"*" * before.endswith("*")}) words="{" ".join(after)}" ;;'
        for before, after in words.items()
    )
    return (ZSH if shell == "zsh" else "") + BASH.format(cases=cases)


def _fish(words: dict[str, list[str]]) -> str:
    lines = [
        f"complete -c plastorch -n '__plastorch_after \"{before}\"' -a '{' '.join(after)}'"
        for before, after in words.items()
    ]
    return "\n".join([FISH, *lines])
