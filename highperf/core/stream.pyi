class Stream:
    """What an answer is given through and a body is drawn from; abstract, and without methods for Python."""
