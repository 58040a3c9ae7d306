"""The one exception for what a user can put right."""


class InputError(ValueError):
    """Bad input: the message names the argument, the value found and what was expected.

    The command line prints it as one line and exits with status 2.
    """
