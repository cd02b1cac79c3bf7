"""The same service, observed."""

from __future__ import annotations

import watchglass
from support.plain_service import app

watchglass.observe(app)
