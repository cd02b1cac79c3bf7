"""Every instrument: name, unit, description, attributes, in one table.

Names are those of the OpenTelemetry semantic conventions, of the OpenTelemetry Collector's `postgresql` and `redis`
receivers where the conventions have none, and `watchglass.*` where neither has one.

Attribute values are passed to the recorder as a plain tuple in the order of `Meter.attributes`; `None` and "" mean
"not set" and are left out of what is stored or exposed.
"""

from __future__ import annotations

from watchglass.instruments import Across as Across
from watchglass.instruments import Kind as Kind
from watchglass.instruments import Meter as Meter
from watchglass.meters.own import *
from watchglass.meters.process import *
from watchglass.meters.requests import *
from watchglass.meters.servers import *
from watchglass.meters.statements import *

ALL: tuple[Meter, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Meter))
BY_NAME: dict[str, Meter] = {meter.name: meter for meter in ALL}
