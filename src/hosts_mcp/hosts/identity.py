"""Whose it is: resource -> identity -> host, and span -> host. The face of the rooms beside it.

`resources` says what one resource claims, `inventory` knows the hosts, `placing` decides where metrics belong,
`joining` where spans ran, `processes` which process a resource describes.
"""

from hosts_mcp.hosts.inventory import Inventory
from hosts_mcp.hosts.joining import Join
from hosts_mcp.hosts.placing import Placement
from hosts_mcp.hosts.processes import ProcessIdentity, process_identity
from hosts_mcp.hosts.resources import Identity, hosts_on_points, identify

__all__ = [
    "Identity", "Inventory", "Join", "Placement", "ProcessIdentity", "hosts_on_points", "identify", "process_identity",
]  # fmt: skip
