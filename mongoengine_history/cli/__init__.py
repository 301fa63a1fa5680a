"""The command line ``mongoengine-history``. It needs the extra ``cli``."""
