"""The one exception for everything that a user can mend."""


class UserError(Exception):
    """A wrong input, setting or machine, told in one line.

    The message names the file or the key that is wrong and says what to do about it. The command
    line prints it without a traceback and exits with 2.
    """
