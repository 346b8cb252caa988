"""What a user can mend. By itself, as every command needs it and few need the configurations."""


class UserError(Exception):
    """Something the user can mend; shown as one line, without a traceback."""
