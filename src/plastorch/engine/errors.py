"""The one exception for what a user can put right, and the check that most arguments need."""


class InputError(ValueError):
    """Bad input: the message names the argument, the value found and what was expected.

    The command line prints it as one line and exits with status 2.
    """


def check_positive(**arguments: float) -> None:
    """Raises InputError naming the first argument that is not above 0.

    Example:
        >>> check_positive(epochs=3, rate=0.1)
    """
    for name, value in arguments.items():
        if not value > 0:
            raise InputError(f"{name} is {value}; expected more than 0")
