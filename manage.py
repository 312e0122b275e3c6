#!/usr/bin/env python3
"""Django's command line."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run one command. Settings that can't be used are one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zimage_web.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        _ = settings.SECRET_KEY  # reading one setting loads them all
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except OSError as error:  # the secret key is made and kept at the first start
        sys.exit(f"The data folder can't be used: {error}. Make room there, or set VAR_DIR to another folder.")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
