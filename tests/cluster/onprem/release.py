"""Puts a release's own packages first, where a test brings up an earlier one."""

import os
import sys

sys.path[:0] = filter(None, os.environ.get("FLYTEFORM_RELEASE", "").split(os.pathsep))
